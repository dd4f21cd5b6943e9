from __future__ import annotations

import pytest

from kas.desired.model import TreeEntry
from kas.desired.tree import TreeChange
from kas.git.trees import parse_changes, parse_tree

ID = "0123456789abcdef0123456789abcdef01234567"


def test_each_kind_of_entry_is_read() -> None:
    lines = [
        f"100644 blob {ID}\ta b\tc\n.yaml".encode(),
        f"100755 blob {ID}\trun".encode(),
        f"120000 blob {ID}\tlink".encode(),
        f"160000 commit {ID}\tmodule".encode(),
        f"100644 blob {ID}\t".encode() + b"na\xefve",
    ]
    listing = b"".join(line + b"\0" for line in lines)
    assert parse_tree(listing) == (
        TreeEntry("a b\tc\n.yaml", ID, "100644"),
        TreeEntry("run", ID, "100755"),
        TreeEntry("link", ID, "120000"),
        TreeEntry("module", ID, "160000"),
        TreeEntry("na\udcefve", ID, "100644"),
    )


def test_an_empty_tree_has_no_entries() -> None:
    assert parse_tree(b"") == ()


def test_what_is_not_a_listing_is_an_error() -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse_tree(b"fatal: nonsense\0")


def test_each_kind_of_change_is_read() -> None:
    old, none = "1" * 40, "0" * 40
    fields = [
        f":100644 100644 {old} {ID} M",
        "changed.yaml",
        f":100644 000000 {old} {none} D",
        "gone\n.yaml",
        f":000000 100644 {none} {ID} A",
        "a b/new.yaml",
        f":100644 120000 {old} {ID} T",
        "link",
    ]
    answer = b"".join(field.encode() + b"\0" for field in fields) + f":100644 100755 {ID} {ID} M\0".encode() + b"\xef\0"
    assert parse_changes(answer) == (
        TreeChange("changed.yaml", TreeEntry("changed.yaml", ID, "100644")),
        TreeChange("gone\n.yaml", None),
        TreeChange("a b/new.yaml", TreeEntry("a b/new.yaml", ID, "100644")),
        TreeChange("link", TreeEntry("link", ID, "120000")),
        TreeChange("\udcef", TreeEntry("\udcef", ID, "100755")),
    )


def test_equal_commits_have_no_changes() -> None:
    assert parse_changes(b"") == ()


def test_what_is_no_difference_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"zip|unpack"):
        parse_changes(b"fatal: nonsense\0")
