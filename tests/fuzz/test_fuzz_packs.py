"""Whatever a Git server packs: objects named by their content within the bounds, or ``NotPlainError``.

That git takes whatever is taken here is shown for packs with changed bytes in
``tests/integration/kas_git/test_git_small_packs.py``, and here for differences, which say what to copy from where.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import zlib

from kas.git.small_packs import MOST_BYTES, SmallPack, read_pack
from kas.git.trees import NotPlainError, read_tree
from tests.fuzz.inputs import fuzz

MOST_CONTENT = 1024**2
BASE = b"0123456789" * 4
TOKENS = (b"PACK\0\0\0\2", b"\0\0\0\1", b"\xff" * 8, b"\x80" * 8, b"\x90\x0a", b"\x61\x10", zlib.compress(b"x" * 3000))


def signed(body: bytes) -> bytes:
    return body + hashlib.sha1(body).digest()  # noqa: S324 - Git's


def taken(pack: bytes) -> SmallPack | None:
    try:
        return read_pack(pack, ())
    except NotPlainError:
        return None


@fuzz("packs", tokens=TOKENS)
def test_objects_have_the_names_of_their_content_and_are_bounded(data: bytes) -> None:
    for pack in (data, signed(data), signed(data[:-20])):
        small = taken(pack)
        if small is None:
            continue
        assert len(pack) <= MOST_BYTES
        assert sum(len(one.content) for one in small.objects.values()) <= MOST_CONTENT
        for object_id, one in small.objects.items():
            whole = b"%b %d\0%b" % (one.kind.encode(), len(one.content), one.content)
            assert hashlib.sha1(whole).hexdigest() == object_id  # noqa: S324 - Git's
        assert len(small.index) == 8 + 1024 + 28 * len(small.objects) + 40


def with_difference(delta: bytes) -> bytes:
    """Make a pack of a blob and what a difference makes of it."""
    base = bytes([0x80 | 3 << 4 | len(BASE) & 15, len(BASE) >> 4]) + zlib.compress(BASE)
    size = bytes([0x80 | 6 << 4 | len(delta) & 15, 0x80 | len(delta) >> 4 & 127, len(delta) >> 11])
    return signed(b"PACK\0\0\0\2\0\0\0\2" + base + size + bytes([len(base)]) + zlib.compress(delta))


@fuzz("pack_differences", tokens=(b"\x90\x0a", b"\x91\x05\x05", b"\x7f" + b"x" * 127, b"\xff", bytes([40]), b"\x80"))
def test_a_difference_is_followed_as_git_follows_it(data: bytes) -> None:
    if len(data) >= 1 << 18:
        return
    pack = with_difference(data)
    small = taken(pack)
    if small is None:
        return
    (made,) = [one.content for one in small.objects.values() if one.content != BASE]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
        subprocess.run(["git", "unpack-objects", "-q"], cwd=folder, input=pack, check=True, capture_output=True)
        (name,) = [one for one in small.objects if small.objects[one].content == made]
        says = subprocess.run(["git", "cat-file", "blob", name], cwd=folder, capture_output=True, check=True)
        assert says.stdout == made


@fuzz("trees", tokens=(b"100644 ", b"40000 ", b"\0", b"/", b"..", b"A" * 20))
def test_a_tree_is_all_of_its_bytes_or_none(data: bytes) -> None:
    try:
        entries = read_tree(data)
    except NotPlainError:
        return
    assert b"".join(mode + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in entries) == data
