"""The values that pass from a Git revision to an agent's stream. All frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array

    from kas.desired.foreign import LeftOut
    from kas.desired.leaves import Leaves


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One blob of a commit's tree. ``path`` has undecodable bytes as surrogate escapes.

    ``mode`` is Git's octal mode: ``100644`` a file, ``100755`` executable, ``120000`` a symlink, ``160000`` submodule.
    """

    path: str
    blob_id: str
    mode: str

    @property
    def is_link(self) -> bool:
        """Tell whether it is a symbolic link."""
        return self.mode == "120000"

    @property
    def is_submodule(self) -> bool:
        """Tell whether it is a commit of another repository."""
        return self.mode == "160000"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects that one commit selects for one agent.

    ``submodules`` are paths of other repositories whose files the globs might mean, and which are left out. ``names``
    are hashes of the objects' names, in order, by which the next snapshot knows that nothing is in it twice.
    ``left_out`` are selected files that are no manifests.
    """

    commit: str
    files: Leaves
    submodules: tuple[str, ...] = ()
    names: array[int] | None = field(default=None, repr=False, compare=False)
    left_out: tuple[LeftOut, ...] = ()

    @property
    def digest(self) -> bytes:
        """Return 16 bytes that are equal where the files are equal."""
        return self.files.digest
