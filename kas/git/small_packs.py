"""Reads small packs without git: what a first look at a repository of a few manifests brings. Pure: bytes.

The format is Git's own (gitformat-pack): each object compressed, or as its difference from an earlier one. Only what
needs nothing but itself is taken: every object is named by its content, and everything that one refers to is beside it.
Whatever else comes is a ``NotPlainError``, and left to ``git index-pack``.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from kas.git.trees import FOLDER, NotPlainError, read_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MOST_BYTES: Final = 256 * 1024
"""Of a pack. A process of git's own costs less than reading more than that here."""

_MOST_OBJECTS, _MOST_CONTENT = 512, 1024**2
"""So many objects, and bytes in all of them: a pack made to explode is left to git."""

_HEAD: Final = b"PACK\0\0\0\2"
_ID_BYTES: Final = 20
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_FROM_OFFSET: Final = 6
_LEAST_DIFFERENCE: Final = 4
"""Bytes; git takes shorter ones for broken."""
_SUBMODULE: Final = b"160000"

_COMMIT: Final = re.compile(rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author ")
_TAG: Final = re.compile(rb"object ([0-9a-f]{40})\ntype ([a-z]+)\n")


class Stored(NamedTuple):
    """An object."""

    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class SmallPack:
    """What is in a pack, by object id, and the index that git finds it by. ``name`` is that of its files."""

    name: str
    objects: Mapping[str, Stored]
    index: bytes


class _Entry(NamedTuple):
    """Where an object is in a pack, and the checksum of what is there."""

    object_id: bytes
    offset: int
    checksum: int


def read_pack(pack: bytes, shallow: Collection[str]) -> SmallPack:
    """Read a pack; ``shallow`` are commits whose parents stay away.

    Raises:
        NotPlainError: it is large, refers to what is not in it, or is none.
    """
    end = len(pack) - _ID_BYTES
    if len(pack) > MOST_BYTES or not pack.startswith(_HEAD) or hashlib.sha1(pack[:end]).digest() != pack[end:]:  # noqa: S324 - Git's
        raise NotPlainError("not a small pack")
    entries, objects = _read(pack, end)
    for object_id, one in objects.items():
        for needed, kind in _links(one, without_parents=object_id in shallow):
            if needed not in objects or objects[needed].kind != kind:
                raise NotPlainError("something that is needed is not in it")
    return SmallPack(pack[end:].hex(), objects, _index(entries, pack[end:]))


def _read(pack: bytes, end: int) -> tuple[list[_Entry], dict[str, Stored]]:
    """Return where the objects are and what they are."""
    count = int.from_bytes(pack[8:12], "big")
    if count > _MOST_OBJECTS:
        raise NotPlainError("many objects")
    entries: list[_Entry] = []
    objects: dict[str, Stored] = {}
    by_offset: dict[int, Stored] = {}
    at, left = 12, _MOST_CONTENT
    for _ in range(count):
        offset = at
        try:
            kind, size, at = _header(pack, at)
            base, at = _base(pack, at, offset, by_offset) if kind == _FROM_OFFSET else (None, at)
            if size > left or (base is None and kind not in _KINDS):
                raise NotPlainError("much, or an object of another kind")
            content, at = _inflated(pack, at, size)
            one = Stored(_KINDS[kind], content) if base is None else Stored(base.kind, _patched(base, content, left))
        except (IndexError, zlib.error) as error:
            raise NotPlainError("not a pack as git writes them") from error
        left -= len(one.content)
        if left < 0:
            raise NotPlainError("much")
        by_offset[offset] = one
        digest = hashlib.sha1(b"%b %d\0%b" % (one.kind.encode(), len(one.content), one.content))  # noqa: S324 - Git's
        objects[digest.hexdigest()] = one
        entries.append(_Entry(digest.digest(), offset, zlib.crc32(pack[offset:at])))
    if at != end or len(objects) != count:
        raise NotPlainError("more or fewer objects than it says")
    return entries, objects


def _header(pack: bytes, at: int) -> tuple[int, int, int]:
    """Return the kind and the size of the object at a place, and where it goes on."""
    byte = pack[at]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 0x80:
        at += 1
        byte = pack[at]
        size |= (byte & 0x7F) << shift
        shift += 7
        if size > _MOST_CONTENT:
            raise NotPlainError("a large object")
    return kind, size, at + 1


def _base(pack: bytes, at: int, offset: int, known: Mapping[int, Stored]) -> tuple[Stored, int]:
    """Return the earlier object that one is a difference from, and where that goes on."""
    byte = pack[at]
    back = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = pack[at]
        back = (back + 1) << 7 | byte & 0x7F
        if back > offset:
            break
    base = known.get(offset - back)
    if base is None:
        raise NotPlainError("a difference from what is not before it")
    return base, at + 1


def _inflated(pack: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return what is compressed at a place, which is so long, and where it ends."""
    reader = zlib.decompressobj()
    # What cannot be made smaller becomes this much larger.
    piece = pack[at : at + size + size // 1000 + 64]
    content = reader.decompress(piece, size + 1)
    if not reader.eof or len(content) != size:
        raise NotPlainError("an object of another size")
    return content, at + len(piece) - len(reader.unused_data)


def _patched(base: Stored, delta: bytes, most: int) -> bytes:
    """Return what a difference makes of an object, which is at most so long."""
    before, at = _size(delta, 0)
    after, at = _size(delta, at)
    if before != len(base.content) or after > most or len(delta) < _LEAST_DIFFERENCE:
        raise NotPlainError("a difference from something else, to much, or as git writes none")
    made = bytearray()
    while at < len(delta):
        code = delta[at]
        at += 1
        if code & 0x80:
            place = size = 0
            for bit in range(7):
                if code & 1 << bit:
                    place |= delta[at] << 8 * bit
                    at += 1
            place, size = place & 0xFFFFFFFF, place >> 32
            piece = base.content[place : place + (size or 0x10000)]
            if len(piece) != (size or 0x10000):
                raise NotPlainError("a difference that copies what is not there")
        else:
            piece = delta[at : at + code]
            at += code
            if not code or len(piece) != code:
                raise NotPlainError("a difference that ends early")
        made += piece
        if len(made) > after:
            break
    if len(made) != after:
        raise NotPlainError("a difference to another size")
    return bytes(made)


def _size(delta: bytes, at: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        byte = delta[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if size > _MOST_CONTENT:
            raise NotPlainError("a difference of something large")
        if not byte & 0x80:
            return size, at


def _links(one: Stored, *, without_parents: bool) -> Iterator[tuple[str, str]]:
    """Yield the objects that one refers to, and what kinds they are to be."""
    match one.kind:
        case "commit":
            found = _COMMIT.match(one.content)
            if found is None:
                raise NotPlainError("not a commit as git writes them")
            yield found[1].decode(), "tree"
            if not without_parents:
                yield from ((line[7:].decode(), "commit") for line in found[2].splitlines())
        case "tree":
            for mode, _, object_id in read_tree(one.content):
                if mode != _SUBMODULE:
                    yield object_id, "tree" if mode == FOLDER else "blob"
        case "tag":
            tagged = _TAG.match(one.content)
            if tagged is None:
                raise NotPlainError("not a tag as git writes them")
            yield tagged[1].decode(), tagged[2].decode()


def _index(entries: list[_Entry], name: bytes) -> bytes:
    """Return the index of a pack, of version 2."""
    entries = sorted(entries)
    up_to = [0] * 256
    for one in entries:
        up_to[one.object_id[0]] += 1
    for first in range(1, 256):
        up_to[first] += up_to[first - 1]
    parts = [
        b"\xfftOc\0\0\0\2",
        *(count.to_bytes(4, "big") for count in up_to),
        *(one.object_id for one in entries),
        *(one.checksum.to_bytes(4, "big") for one in entries),
        *(one.offset.to_bytes(4, "big") for one in entries),
        name,
    ]
    index = b"".join(parts)
    return index + hashlib.sha1(index).digest()  # noqa: S324 - Git's
