from __future__ import annotations

import pytest

from kas.desired.model import TreeEntry
from kas.git.trees import parse_tree

ID = "0123456789abcdef0123456789abcdef01234567"


def test_each_kind_of_entry_is_read() -> None:
    lines = [
        f"100644 blob {ID}      12\ta b\tc\n.yaml".encode(),
        f"100755 blob {ID}       0\trun".encode(),
        f"120000 blob {ID}       4\tlink".encode(),
        f"160000 commit {ID}       -\tmodule".encode(),
        f"100644 blob {ID}       1\t".encode() + b"na\xefve",
    ]
    listing = b"".join(line + b"\0" for line in lines)
    assert parse_tree(listing) == (
        TreeEntry("a b\tc\n.yaml", ID, "100644", 12),
        TreeEntry("run", ID, "100755", 0),
        TreeEntry("link", ID, "120000", 4),
        TreeEntry("module", ID, "160000", 0),
        TreeEntry("na\udcefve", ID, "100644", 1),
    )


def test_an_empty_tree_has_no_entries() -> None:
    assert parse_tree(b"") == ()


def test_what_is_not_a_listing_is_an_error() -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse_tree(b"fatal: nonsense\0")
