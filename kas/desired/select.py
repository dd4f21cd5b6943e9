"""Which files of a commit are manifests: doublestar globs over a tree's paths.

What a glob means is in ``globs``; here is what may be selected: no submodules, nothing below a directory whose name
begins with a dot, and no more than the limits. From one commit to the next only what changed is matched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentlink.layered import Layered
from agentlink.manifests.model import ManifestError, printable_path
from kas.desired.globs import GlobError, compile_patterns, described, roots_of

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

    from agentlink.manifests.model import Limits
    from kas.desired.model import TreeEntry
    from kas.desired.tree import Paths, TreeChange

DEFAULT_GLOBS = ("/**/*.{yaml,yml,json}",)

_SHOWN_GLOBS = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What globs select of one commit, by path: files and symbolic links; and submodules they might mean files of."""

    files: Layered[str, TreeEntry]
    submodules: Mapping[str, TreeEntry]


@dataclass(frozen=True, slots=True)
class Selector:
    """Compiled globs. Use it again for every commit. Outside of its ``roots`` nothing matches."""

    globs: tuple[str, ...]
    limits: Limits
    pattern: re.Pattern[str]
    roots: tuple[str, ...]

    def select(self, tree: Paths[TreeEntry]) -> Selection:
        """Return what any glob matches of a whole commit."""
        matches = self.pattern.fullmatch
        files: dict[str, TreeEntry] = {}
        submodules: dict[str, TreeEntry] = {}
        for entry in tree.below(self.roots):
            if entry.is_submodule:
                submodules[entry.path] = entry
            # The cheap test first: hardly any path holds a directory whose name begins with a dot.
            elif matches(entry.path) and not _below_dot_directory(entry.path):
                files[entry.path] = entry
        submodules.update((entry.path, entry) for entry in tree.at(_parents(self.roots)) if entry.is_submodule)
        return Selection(Layered(files), submodules)

    def follow(self, selection: Selection, changes: Paths[TreeChange]) -> Selection:
        """Return what is selected after the changes: the same object where they touch nothing of it."""
        files: dict[str, TreeEntry | None] = {}
        submodules: dict[str, TreeEntry] | None = None
        for change in (*changes.below(self.roots), *changes.at(_parents(self.roots))):
            path, entry = change.path, change.entry
            in_reach = entry is not None and entry.is_submodule
            matched = (
                entry is not None
                and not in_reach
                and self.pattern.fullmatch(path) is not None
                and not _below_dot_directory(path)
            )
            if matched or path in selection.files:
                files[path] = entry if matched else None
            if in_reach or path in selection.submodules:
                submodules = dict(selection.submodules) if submodules is None else submodules
                _put(submodules, path, entry if in_reach else None)
        if not files and submodules is None:
            return selection
        return Selection(selection.files.changed(files), selection.submodules if submodules is None else submodules)

    def check_count(self, selection: Selection) -> None:
        """Make sure that there is something, and not too much.

        Raises:
            ManifestError: EmptySelection or TooManyFiles.
        """
        if not selection.files:
            shown = ", ".join(map(described, self.globs[:_SHOWN_GLOBS]))
            more = f" and {len(self.globs) - _SHOWN_GLOBS} more" if len(self.globs) > _SHOWN_GLOBS else ""
            raise ManifestError("EmptySelection", f"no file matches {shown}{more}; nothing was applied or pruned")
        if len(selection.files) > self.limits.files:
            raise ManifestError(
                "TooManyFiles", f"the globs match {len(selection.files)} files; at most {self.limits.files} are read"
            )


def check_sizes(files: Sequence[TreeEntry], sizes: Mapping[str, int], limits: Limits, *, beside: int = 0) -> None:
    """Make sure that the files may be read.

    Args:
        files: what is selected and to be read.
        sizes: of their blobs in bytes, by id.
        limits: how large they may be.
        beside: bytes of what is selected and has been read before.

    Raises:
        ManifestError: FileTooLarge or ProjectTooLarge.
    """
    total = beside
    for entry in files:
        size = sizes[entry.blob_id]
        if size > limits.file_bytes:
            path = printable_path(entry.path)
            raise ManifestError(
                "FileTooLarge", f"{size} bytes; at most {limits.file_bytes} are read of a file", path=path
            )
        total += size
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
        return Selector(globs, limits, compile_patterns(globs), roots_of(globs))
    except GlobError as error:
        raise ManifestError("InvalidGlob", str(error)) from None


def _put(entries: dict[str, TreeEntry], path: str, entry: TreeEntry | None) -> None:
    if entry is None:
        entries.pop(path, None)
    else:
        entries[path] = entry


def _parents(roots: Sequence[str]) -> list[str]:
    """Return the directories on the way to the roots, and these; where one is a submodule, the globs mean its files."""
    return list(dict.fromkeys(root[:at] for root in roots for at, character in enumerate(root) if character == "/"))


def _below_dot_directory(path: str) -> bool:
    return (path[0] == "." and "/" in path) or ("/." in path and "/" in path[path.index("/.") + 1 :])
