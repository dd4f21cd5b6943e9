"""Whatever a server packs as a tree: all of its entries, or ``NotPlainError``. Packs themselves are git's to read."""

from __future__ import annotations

from kas.git.trees import NotPlainError, read_tree
from tests.fuzz.inputs import fuzz


@fuzz("trees", tokens=(b"100644 ", b"40000 ", b"\0", b"/", b"..", b"A" * 20))
def test_a_tree_is_all_of_its_bytes_or_none(data: bytes) -> None:
    try:
        entries = read_tree(data)
    except NotPlainError:
        return
    assert b"".join(mode + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in entries) == data
