"""Reads the answer of ``git ls-tree -r -z --long``. Pure."""

from __future__ import annotations

from kas.desired.model import TreeEntry


def parse_tree(listing: bytes) -> tuple[TreeEntry, ...]:
    """Return the entries of a listing, in Git's order.

    Bytes of a path that are not UTF-8 become surrogate escapes. A submodule has no size here and counts as 0 bytes.
    Raises ``ValueError`` where the listing is not one.
    """
    entries = []
    for line in listing.split(b"\0")[:-1]:
        meta, _, path = line.partition(b"\t")
        mode, _, blob_id, size = meta.decode("ascii").split()
        entries.append(
            TreeEntry(path.decode("utf-8", "surrogateescape"), blob_id, mode, 0 if size == "-" else int(size))
        )
    return tuple(entries)
