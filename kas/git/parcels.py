"""Small packs as they came from a server, to be handed to other kas that would get them from there, too.

Whoever may have one is told by ``source_of``: who would ask at the same URL with the same credential.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kas.git.refs import GitRef
    from kas.git.remotes import Remote

MOST_BYTES: Final = 256 * 1024
"""Of a pack that is handed on; a push to manifests is a hundredth of it."""


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """A pack. Of the commits in ``shallow`` the parents stay away.

    ``tips`` are refs by ``ref_name``, each with the commit at which the server had it when it gave the pack.
    """

    source: bytes
    shallow: tuple[str, ...]
    pack: bytes
    tips: tuple[tuple[str, str], ...] = ()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the pack as if it came from a server."""
        yield self.pack


class Sealed(Protocol):
    """A parcel that another kas has handed on."""

    def __call__(self, source: bytes) -> Parcel | None:
        """Open it; None unless it was got as ``source`` says, and is as it was sent."""


def ref_name(ref: GitRef) -> str:
    """Return what a ref is called among kas: 32 hexadecimal digits, whatever its name holds."""
    return hashlib.sha256(f"{ref.kind}\0{ref.name}".encode(errors="surrogateescape")).hexdigest()[:32]


def source_of(remote: Remote) -> bytes:
    """Return a digest of where one asks and how one is let in. To be kept to oneself: a password might be guessed."""
    who = () if remote.credential is None else (remote.credential.username, remote.credential.password)
    key = () if remote.key is None else (remote.key.text,)
    # None of them holds a zero byte, see ``remotes.py``.
    return hashlib.sha256("\0".join((remote.url, *who, *key)).encode(errors="surrogateescape")).digest()
