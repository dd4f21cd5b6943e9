"""Reads trees: small ones object by object, large ones from what ``git ls-tree`` and ``git diff-tree`` answer.

Pure but for the function that gives objects. Bytes of a path that are not UTF-8 become surrogate escapes. Without
sizes: to find those of a hundred thousand files git takes longer than for everything else together, and only those of
selected files are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from kas.desired.model import TreeEntry
from kas.desired.tree import TreeChange

Read = Callable[[Sequence[str]], list[tuple[str, bytes] | None]]
"""Gives id and content of each object, None for one that is not here."""

_MOST_TREES, _MOST_BYTES = 256, 1024**2
"""Beyond so many trees, or bytes of them, a process of git's own is faster, and stands trees made to explode."""

_ENTRY: Final = re.compile(rb"([1-7][0-7]{4,5}) ([^\0]+)\0(.{20})", re.DOTALL)
FOLDER: Final = b"40000"
"""The mode of an entry that is a tree itself."""


class NotPlainError(Exception):
    """There is more to read than is read object by object, or something odd; git itself does it."""


def list_tree(commit: str, read: Read) -> tuple[TreeEntry, ...] | None:
    """Return the entries of a commit, in Git's order; None where something of it is not here.

    Raises:
        NotPlainError: it is large, or something in it is no tree as git writes them.
    """
    entries: list[tuple[bytes, str, bytes]] = []
    trees = _Trees(read)
    level = [(b"", f"{commit}^{{tree}}")]
    while level:
        found = trees.read([name for _, name in level])
        if found is None:
            return None
        below = []
        for (folder, _), tree in zip(level, found, strict=True):
            for name, (mode, object_id) in tree.items():
                if mode == FOLDER:
                    below.append((b"%b%b/" % (folder, name), object_id))
                else:
                    entries.append((folder + name, object_id, mode))
        level = below
    return tuple(_entry(*entry) for entry in sorted(entries))


def compare_trees(old: str, new: str, read: Read) -> tuple[TreeChange, ...] | None:
    """Return what differs between two commits, None where something that is needed for it is not here.

    Raises:
        NotPlainError: it is much, or something in them is no tree as git writes them.
    """
    changes: dict[bytes, tuple[str, bytes] | None] = {}
    trees = _Trees(read)
    # A folder, and the trees it is before and after; an empty name where it is none.
    level = [(b"", f"{old}^{{tree}}", f"{new}^{{tree}}")]
    while level:
        found = trees.read([name for _, *pair in level for name in pair if name])
        if found is None:
            return None
        given = iter(found)
        below = []
        for folder, *pair in level:
            before, after = (next(given) if name else {} for name in pair)
            for name in before.keys() | after.keys():
                was, is_now = before.get(name), after.get(name)
                if was == is_now:
                    continue
                path = folder + name
                folders = ["" if one is None or one[0] != FOLDER else one[1] for one in (was, is_now)]
                if any(folders):
                    below.append((path + b"/", folders[0], folders[1]))
                if is_now is not None and is_now[0] != FOLDER:
                    changes[path] = is_now[1], is_now[0]
                elif was is not None and was[0] != FOLDER:
                    changes[path] = None
        level = below
    return tuple(_change(path, changes[path]) for path in sorted(changes))


class _Trees:
    """Reads trees until it is too many."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._trees = self._bytes = 0

    def read(self, names: Sequence[str]) -> list[dict[bytes, tuple[bytes, str]]] | None:
        """Return mode and id of each entry of each tree, None where one is not here."""
        self._trees += len(names)
        if self._trees > _MOST_TREES or self._bytes > _MOST_BYTES:
            raise NotPlainError("many trees")
        found = []
        for answer in self._read(names):
            if answer is None:
                return None
            self._bytes += len(answer[1])
            found.append({name: (mode, object_id) for mode, name, object_id in read_tree(answer[1])})
        return found


def read_tree(content: bytes) -> list[tuple[bytes, bytes, str]]:
    """Read a tree object: mode, name and id of each entry, one behind the other.

    Raises:
        NotPlainError: it is none as git writes them.
    """
    found = _ENTRY.findall(content)
    if sum(len(mode) + len(name) + 22 for mode, name, _ in found) != len(content):
        raise NotPlainError("not a tree as git writes them")
    return [(mode, name, object_id.hex()) for mode, name, object_id in found]


def _entry(path: bytes, object_id: str, mode: bytes) -> TreeEntry:
    return TreeEntry(path.decode("utf-8", "surrogateescape"), object_id, mode.decode().zfill(6))


def _change(path: bytes, now: tuple[str, bytes] | None) -> TreeChange:
    return TreeChange(path.decode("utf-8", "surrogateescape"), None if now is None else _entry(path, now[0], now[1]))


def parse_tree(listing: bytes) -> tuple[TreeEntry, ...]:
    """Return the entries of a listing, in Git's order.

    Raises:
        ValueError: it is not one.
    """
    entries = []
    for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        meta, _, path = line.partition("\t")
        mode, _, blob_id = meta.split(" ")
        entries.append(TreeEntry(path, blob_id, mode))
    return tuple(entries)


def parse_changes(answer: bytes) -> tuple[TreeChange, ...]:
    """Return what differs between two commits; a renamed file is one that went and one that came.

    Raises:
        ValueError: it is no raw difference without renames.
    """
    fields = answer.decode("utf-8", "surrogateescape").split("\0")[:-1]
    changes: dict[str, TreeChange] = {}
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, blob_id, status = meta.split(" ")
        if status == "D":
            changes.setdefault(path, TreeChange(path, None))
        else:
            changes[path] = TreeChange(path, TreeEntry(path, blob_id, mode))
    return tuple(changes.values())
