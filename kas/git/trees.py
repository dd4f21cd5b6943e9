"""Reads what ``git ls-tree -r -z`` and ``git diff-tree -r -z`` answer. Pure.

Bytes of a path that are not UTF-8 become surrogate escapes. Without sizes: to find those of a hundred thousand files
git takes longer than for everything else together, and only those of selected files are asked for.
"""

from __future__ import annotations

from kas.desired.model import TreeEntry
from kas.desired.tree import TreeChange


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
