"""What was last seen of tens of thousands of objects, in 64 bytes for nearly each; ``Live`` is made when asked for.

Whatever is not as usual (another applier, an order of its own, a UID or version that is written in another way) is kept
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from struct import Struct
from typing import TYPE_CHECKING, Final

from agentk.apply import uids
from agentk.apply.model import Live
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FIXED: Final = Struct(">16s8sHB")
"""UID, fingerprint, the number of the owner, flags. What follows is the resourceVersion, as few bytes as it takes."""

_OWNER: Final = slice(24, 26)
_OWNERS: Final = 1 << 16
"""Owners that can be told apart in two bytes; objects of more are kept as they are."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,18}")
_NO_FINGERPRINT: Final = bytes(8)

_MARKS: Final = tuple(product((False, True), repeat=6))
"""What is true of an object, by the number that stands for it: the flags of ``Live``, and whether we own any field."""

_FLAGS: Final = {marks: number for number, marks in enumerate(_MARKS)}


class Seen(Mapping[ObjectRef, Live]):
    """Objects by name. Some of them can be had as another ``Seen``, which shares what it holds."""

    __slots__ = ("_numbers", "_objects", "_owners")

    def __init__(self) -> None:
        """Begin with none."""
        self._objects: dict[ObjectRef, bytes | Live] = {}
        self._owners: list[str | None] = []
        self._numbers: dict[str | None, int] = {}

    def put(self, live: Live) -> None:
        """Take in an object as it is now."""
        packed = self._packed(live)
        self._objects[live.ref] = live if packed is None else packed

    def holds(self, live: Live) -> bool:
        """Tell whether an object was seen just so; costs less than asking for it."""
        known = self._objects.get(live.ref)
        return known is not None and known == (self._packed(live) or live)

    def pop(self, ref: ObjectRef) -> Live | None:
        """Forget an object; return what was seen of it last."""
        live = self.get(ref)
        self._objects.pop(ref, None)
        return live

    def some(self, refs: Iterable[ObjectRef]) -> Seen:
        """Return those of these objects that were seen, as they are now."""
        some, objects = Seen(), self._objects
        some._owners, some._numbers = self._owners.copy(), self._numbers.copy()
        some._objects = {ref: found for ref in refs if (found := objects.get(ref)) is not None}
        return some

    def of_others(self, owner: str) -> tuple[Live, ...]:
        """Return the objects that somebody else owns, or nobody."""
        number = self._numbers.get(owner)
        mark = b"" if number is None else number.to_bytes(2)
        return tuple(
            self[ref]
            for ref, found in self._objects.items()
            if (found[_OWNER] != mark if isinstance(found, bytes) else found.owner != owner)
        )

    def _packed(self, live: Live) -> bytes | None:
        """Return an object packed, None of one that is not as usual."""
        uid, version, fingerprint = uids.packed(live.uid), live.resource_version, live.fingerprint
        if (
            uid is None
            or live.ordering is not None
            or live.appliers
            or live.from_secrets
            or live.inventory
            or not _VERSION.fullmatch(version)
        ):
            return None
        if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
            return None
        number = self._numbers.get(live.owner)
        if number is None:
            number = len(self._owners)
            if number == _OWNERS:
                return None
            self._numbers[live.owner] = number
            self._owners.append(live.owner)
        owned = fingerprint is not None
        marks = (live.labelled, live.keep_on_remove, live.ignore_mutation, live.deleting, live.migrate, owned)
        digest = _NO_FINGERPRINT if fingerprint is None else bytes.fromhex(fingerprint)
        numeral = int(version)
        return _FIXED.pack(uid, digest, number, _FLAGS[marks]) + numeral.to_bytes((numeral.bit_length() + 7) // 8)

    def __getitem__(self, ref: ObjectRef) -> Live:
        """Return an object as it was last seen."""
        found = self._objects[ref]
        if not isinstance(found, bytes):
            return found
        uid, digest, number, flags = _FIXED.unpack_from(found)
        labelled, keep_on_remove, ignore_mutation, deleting, migrate, owned = _MARKS[flags]
        return Live(
            ref,
            uids.unpacked(uid),
            str(int.from_bytes(found[_FIXED.size :])),
            digest.hex() if owned else None,
            self._owners[number],
            labelled,
            keep_on_remove,
            ignore_mutation,
            deleting,
            migrate=migrate,
        )

    def __iter__(self) -> Iterator[ObjectRef]:
        """Yield the names."""
        return iter(self._objects)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._objects)

    def __contains__(self, ref: object) -> bool:
        """Tell whether an object was seen."""
        return ref in self._objects
