"""What an inventory says of tens of thousands of objects, packed; ``Recorded`` is made when it is asked for.

Digest, fingerprint and UID are kept as one number: that takes 60 bytes, these bytes themselves 65, and so 80.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Final

from agentk.apply import uids
from agentk.apply.model import Recorded
from agentk.apply.seal import PACKED
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIGESTS: Final = re.compile(r"[0-9a-f]{32}")
"""Digest and fingerprint of an object that was applied, one after the other."""

_NAMED: Final = 0
"""What is kept of an object of which nothing but the name is recorded."""


class Records(MutableMapping[ObjectRef, Recorded]):
    """Records by name. Some of them can be had as other ``Records``, which share what they hold."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        """Begin with none."""
        self._records: dict[ObjectRef, int | Recorded] = {}

    @classmethod
    def of(cls, recorded: Records | Iterable[Recorded]) -> Records:
        """Return these records, packed if they are not; of those that are of one object the last one counts."""
        if isinstance(recorded, Records):
            return recorded
        made = cls()
        for one in recorded:
            made.put(one)
        return made

    def put(self, recorded: Recorded) -> bool:
        """Take in what is recorded of an object now; tell whether that is news."""
        found = _kept(recorded)
        if self._records.get(recorded.ref) == found:
            return False
        self._records[recorded.ref] = found
        return True

    def some(self, refs: Iterable[ObjectRef]) -> Records:
        """Return what is recorded of these objects now."""
        some, records = Records(), self._records
        some._records = {ref: records[ref] for ref in refs if ref in records}
        return some

    def __getitem__(self, ref: ObjectRef) -> Recorded:
        """Return what is recorded of an object."""
        found = self._records[ref]
        if isinstance(found, Recorded):
            return found
        if found == _NAMED:
            return Recorded(ref)
        return unpacked(ref, found.to_bytes(PACKED))

    def __setitem__(self, ref: ObjectRef, recorded: Recorded) -> None:
        """Take in what is recorded of an object now; ``ref`` is its name."""
        self.put(recorded)

    def __delitem__(self, ref: ObjectRef) -> None:
        """Forget an object."""
        del self._records[ref]

    def __iter__(self) -> Iterator[ObjectRef]:
        """Yield the names."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._records)

    def __contains__(self, ref: object) -> bool:
        """Tell whether an object is recorded."""
        return ref in self._records


def _kept(recorded: Recorded) -> int | Recorded:
    """Return what is kept of a record: a number, or itself where it would not come back the same."""
    if not recorded.digest and not recorded.fingerprint and not recorded.uid:
        return _NAMED
    found = packed(recorded)
    return recorded if found is None else int.from_bytes(found) or recorded


def packed(recorded: Recorded) -> bytes | None:
    """Return digest, fingerprint and UID as 32 bytes; None where one is missing or would not come back the same."""
    digests, uid = recorded.digest + recorded.fingerprint, uids.packed(recorded.uid)
    if uid is None or len(recorded.digest) != 16 or not _DIGESTS.fullmatch(digests):  # noqa: PLR2004 - half of both
        return None
    return bytes.fromhex(digests) + uid


def unpacked(ref: ObjectRef, found: bytes) -> Recorded:
    """Return the record of an object that these 32 bytes are of."""
    return Recorded(ref, found[:8].hex(), found[8:16].hex(), uids.unpacked(found[16:]))
