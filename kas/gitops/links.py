"""Symbolic links among selected files: followed inside the commit, refused by name where they lead anywhere else.

git itself follows them (``INFOS``), through directories and other links, never out of the tree it was asked about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestError, printable_path
from kas.git.reader import LedTo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kas.desired.model import TreeEntry
    from kas.git.mirror import Mirror
    from kas.git.reader import Info

_REFUSALS = {
    LedTo.OUTSIDE: "a symbolic link that leaves the repository",
    LedTo.DANGLING: "a symbolic link to a file that does not exist",
    LedTo.NOTHING: "a symbolic link to a file that does not exist",
    LedTo.LOOP: "a symbolic link that leads back to itself, or through too many others",
    LedTo.NOT_A_DIRECTORY: "a symbolic link through a file as if it were a directory",
}


async def followed(mirror: Mirror, commit: str, files: Mapping[str, TreeEntry]) -> Mapping[str, TreeEntry]:
    """Return the files with each link as the file that it leads to, at the link's own path.

    Raises:
        ManifestError: SymlinkRefused.
        GitError: The commit cannot be read.
    """
    links = [entry for entry in files.values() if entry.is_link]
    if not links:
        return files
    for link in links:
        if "\n" in link.path:
            raise _refused(link.path, "a symbolic link whose name has a line break in it")
    found = await mirror.follow(commit, [link.path for link in links])
    resolved = {link.path: _file(link, info) for link, info in zip(links, found, strict=True)}
    return {**files, **resolved}


def _file(link: TreeEntry, info: Info) -> TreeEntry:
    if info.led_to is not LedTo.OBJECT:
        raise _refused(link.path, _REFUSALS[info.led_to])
    if info.kind != "blob":
        raise _refused(link.path, "a symbolic link to a directory or a submodule")
    return replace(link, blob_id=info.object_id, mode="100644")


def _refused(path: str, why: str) -> ManifestError:
    return ManifestError(
        "SymlinkRefused",
        f"{why}; put the file itself here, or leave it out of the globs",
        path=printable_path(path),
    )
