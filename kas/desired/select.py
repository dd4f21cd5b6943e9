"""Which files of a commit are manifests: doublestar globs over a tree's paths.

What a glob means is in ``globs``; here is what may be selected: no submodules, nothing below a directory whose name
begins with a dot, no symbolic links, and no more than the limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestError, printable_path
from kas.desired.globs import GlobError, compile_patterns

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from agentlink.manifests.model import Limits
    from kas.desired.model import TreeEntry

DEFAULT_GLOBS = ("/**/*.{yaml,yml,json}",)

_SYMLINK, _SUBMODULE = "120000", "160000"
_SHOWN_GLOBS = 5


@dataclass(frozen=True, slots=True)
class Selector:
    """Compiled globs. Use it again for every commit."""

    globs: tuple[str, ...]
    limits: Limits
    pattern: re.Pattern[str]

    def select(self, entries: Sequence[TreeEntry]) -> tuple[TreeEntry, ...]:
        """Return the files that any glob matches, in the given order; submodules are none.

        Raises:
            ManifestError: SymlinkRefused, EmptySelection, TooManyFiles, FileTooLarge or ProjectTooLarge.
        """
        matches = self.pattern.fullmatch
        # The cheap test first: hardly any path holds a directory whose name begins with a dot.
        selected = tuple(
            entry
            for entry in entries
            if matches(entry.path) and not _below_dot_directory(entry.path) and entry.mode != _SUBMODULE
        )
        self._check(selected)
        return selected

    def _check(self, selected: Sequence[TreeEntry]) -> None:
        if not selected:
            shown = ", ".join(repr(printable_path(glob)) for glob in self.globs[:_SHOWN_GLOBS])
            more = f" and {len(self.globs) - _SHOWN_GLOBS} more" if len(self.globs) > _SHOWN_GLOBS else ""
            raise ManifestError("EmptySelection", f"no file matches {shown}{more}; nothing was applied or pruned")
        limits = self.limits
        if len(selected) > limits.files:
            raise ManifestError(
                "TooManyFiles", f"the globs match {len(selected)} files; at most {limits.files} are read"
            )
        total = 0
        for entry in selected:
            path = printable_path(entry.path)
            if entry.mode == _SYMLINK:
                raise ManifestError(
                    "SymlinkRefused",
                    "a symbolic link; put the file itself here, or leave it out of the globs",
                    path=path,
                )
            if entry.size > limits.file_bytes:
                raise ManifestError(
                    "FileTooLarge", f"{entry.size} bytes; at most {limits.file_bytes} are read of a file", path=path
                )
            total += entry.size
        if total > limits.project_bytes:
            raise ManifestError(
                "ProjectTooLarge", f"the files have {total} bytes; at most {limits.project_bytes} are read of a project"
            )


def compile_globs(globs: Sequence[str], limits: Limits) -> Selector:
    """Return the selector of the globs, each anchored at the root of the repository; of the default globs for none.

    Raises:
        ManifestError: TooManyPaths or InvalidGlob.
    """
    globs = tuple(globs) or DEFAULT_GLOBS
    if len(globs) > limits.paths:
        raise ManifestError("TooManyPaths", f"{len(globs)} globs; at most {limits.paths} are allowed")
    try:
        return Selector(globs, limits, compile_patterns(globs))
    except GlobError as error:
        raise ManifestError("InvalidGlob", str(error)) from None


def _below_dot_directory(path: str) -> bool:
    return (path[0] == "." and "/" in path) or ("/." in path and "/" in path[path.index("/.") + 1 :])
