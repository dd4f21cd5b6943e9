"""Which entry of an inventory is in which ConfigMap, and in what order a change is written. Pure.

A ConfigMap holds a megabyte, so a large inventory is several: the *head*, which is all there is of a small one and
looks as cli-utils writes it, and numbered *shards*. Three properties make a crash between any two writes harmless:

* An entry stays in the ConfigMap where it was first written. There are no moves, so nothing is ever between two places.
* A shard is made with its first entries before the head lists it, and taken off the list before it is deleted. What
  exists is read whether it is listed or not, so the list only serves to notice that a shard is gone.
* Whatever is there twice (a backup put back, an entry under another spelling of its key) is written once in full before
  the other copy goes. Where copies differ, only the name is believed, and the object is applied anew.

How an entry is written is ``inventory``; carrying the writes out is ``agentk.kube.inventory_store``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from agentk.apply.inventory import InventoryError, entry_of, is_legible, key_of, record_of, size_of
from agentk.apply.model import Recorded
from agentk.apply.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from agentk.apply.seal import Seal
    from agentlink.refs import ObjectRef

HEAD: Final = 0
"""The head's number."""

CAPACITY: Final = 256 << 10
"""Bytes of entries in one ConfigMap, some 2,000 of them.

A quarter of what Kubernetes allows. The API server reads and stores a ConfigMap whole for every entry that changes, so
smaller ones make a change cheaper; and with ``managedFields``, which repeat every key, it is far below etcd's limit.
"""

_DIGITS: Final = 6
"""Of the number of a shard; a number of thousands, which anybody can write, is not even read."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make a ConfigMap with these entries; for the head, with an empty list of shards."""

    number: int
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change entries of a ConfigMap, None to remove one; ``shards`` is the head's new list, None to leave it.

    ``entries`` is how many the ConfigMap holds afterwards.
    """

    number: int
    data: Mapping[str, str | None] = field(repr=False)
    entries: int
    shards: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a shard."""

    number: int


Write = Create | Patch | Delete


def written(shards: Iterable[int]) -> str:
    """Write the list of shards as it stands in the head's annotation."""
    return ",".join(str(number) for number in sorted(shards))


def listed(text: str) -> frozenset[int]:
    """Read the list of shards from the head's annotation.

    Raises:
        InventoryError: It is not one.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    numbers = frozenset(map(number_of, parts))
    if HEAD in numbers:
        raise InventoryError("its list of shards", f"reads {text[:100]!r}, not numbers separated by commas")
    return numbers


def number_of(text: str) -> int:
    """Read the number of a shard; ``HEAD`` where it is none that a shard can have."""
    return int(text) if len(text) <= _DIGITS and text.isascii() and text.isdigit() else HEAD


@dataclass(slots=True)
class _Change:
    """What is to be written into one ConfigMap: entries of these objects, and without these keys."""

    refs: list[ObjectRef] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def _in_words(draft: Write, change: _Change, records: Mapping[ObjectRef, Recorded], seal: Seal | None) -> Write:
    """Give a write its data."""
    entries = dict(entry_of(records[ref], seal) for ref in change.refs)
    match draft:
        case Create():
            return replace(draft, data=entries)
        case Patch():
            return replace(draft, data={**dict.fromkeys(change.keys), **entries})
        case Delete():
            return draft


class Layout:
    """Where every entry of one inventory is. In memory it takes one entry of a dict for each."""

    def __init__(self, shards: Iterable[int] = (), *, seal: Seal | None = None, capacity: int = CAPACITY) -> None:
        """Begin with no ConfigMap at all; ``read`` takes in those that there are.

        Args:
            shards: The list that stands in the head.
            seal: What opens values; without it none is believed.
            capacity: Bytes of entries that a ConfigMap may get.
        """
        self._listed = frozenset(shards)
        self._seal = seal
        self._capacity = capacity
        self._places: dict[ObjectRef, int] = {}
        self._sizes: dict[int, int] = {}
        self._entries: dict[int, int] = {}
        self._strays: list[tuple[ObjectRef, int, str]] = []
        self._anew: dict[ObjectRef, Recorded] = {}

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the shards that the head lists and that were not read."""
        return tuple(sorted(self._listed - self._sizes.keys()))

    def read(
        self, number: int, data: Mapping[str, str], records: MutableMapping[ObjectRef, Recorded]
    ) -> InventoryError | None:
        """Take in one ConfigMap; in which order they come does not matter.

        Args:
            number: Its number.
            data: Its entries.
            records: Gets the objects. One that is recorded in different ways is known by name only.

        Returns:
            What is wrong with entries of it, if anything is. The others count all the same.
        """
        faults: list[InventoryError] = []
        self._open(number)
        for key, value in data.items():
            try:
                recorded = record_of(key, value, self._seal)
            except InventoryError as error:
                faults.append(error)
                self._add(number, len(key) + len(value.encode()))
                continue
            ref = recorded.ref
            self._add(number, size_of(ref))
            if records.setdefault(ref, recorded) != recorded:
                records[ref] = Recorded(ref)
            if not self._is_place(ref, number, key) or is_legible(value):
                self._anew[ref] = records[ref]
        return InventoryError.first_of(faults) if faults else None

    def _is_place(self, ref: ObjectRef, number: int, key: str) -> bool:
        """Take note of an entry; of its copies the one in the lowest number stays, if its key is spelled as we do."""
        place, own = self._places.get(ref), key_of(ref)
        if key == own and (place is None or number < place):
            self._places[ref] = number
            if place is None:
                return ref not in self._anew
            number = place
        self._strays.append((ref, number, key))
        return False

    def change(
        self,
        changed: Records | Iterable[Recorded],
        removed: Iterable[ObjectRef] = (),
        *,
        seal: Seal | None = None,
    ) -> Iterator[Write]:
        """Decide how to write a change, in which order; costs as much as the change is large.

        From here on the layout is as it will be after the last write. When one of them fails, read everything anew.
        Each write is put into words when it is asked for: all of them at once would take more memory than all records.

        Args:
            changed: Objects as they are to be recorded; new ones get a place.
            removed: Objects to forget; unknown ones are no error, and they go before ``changed``.
            seal: What values are sealed with; without it names alone are written.
        """
        gone = set(removed)
        strays, self._strays = self._strays, []
        anew, self._anew = self._anew, {}
        records = Records.of(changed)
        if anew:
            records = Records.of((*anew.values(), *records.values()))
        made: dict[int, _Change] = {}
        changes: defaultdict[int, _Change] = defaultdict(_Change)
        late: defaultdict[int, _Change] = defaultdict(_Change)
        for ref in gone & self._places.keys():
            number = self._places.pop(ref)
            changes[number].keys.append(key_of(ref))
            self._take(number, size_of(ref))
        wanted = [ref for ref in records if ref not in gone] if gone else records
        if HEAD not in self._sizes and wanted:
            made[HEAD] = self._open(HEAD)
        room = HEAD
        for ref in wanted:
            number = self._places.get(ref, -1)
            if number < 0:
                size = size_of(ref)
                room = self._places[ref] = number = self._room_for(size, room, made)
                self._add(number, size)
            (made[number] if number in made else changes[number]).refs.append(ref)
        for ref, number, key in strays:
            late[number].keys.append(key)
            self._take(number, size_of(ref))
        drafts = self._in_order(made, changes, late)
        return (_in_words(write, change, records, seal) for write, change in drafts)

    def _in_order(
        self, made: Mapping[int, _Change], changes: Mapping[int, _Change], late: Mapping[int, _Change]
    ) -> list[tuple[Write, _Change]]:
        """Order the writes, yet without data, as the module says, and forget the shards that are empty after them."""
        drafts: list[tuple[Write, _Change]] = [(Create(number, {}), change) for number, change in made.items()]
        emptied = [number for number, entries in self._entries.items() if not entries and number != HEAD]
        before = self._listed
        # A shard that is missing stays on the list until somebody puts it back or takes it off.
        self._listed = frozenset((*self._sizes.keys() - {HEAD, *emptied}, *self.missing))
        shards = tuple(sorted(self._listed)) if self._listed != before else None
        for number in sorted({*changes, *(() if shards is None else (HEAD,))} - {*emptied}):
            after = self._entries[number] + (len(late[number].keys) if number in late else 0)
            patch = Patch(number, {}, after, shards if number == HEAD else None)
            drafts.append((patch, changes.get(number, _Change())))
        drafts += [
            (Patch(number, {}, self._entries[number]), late[number]) for number in sorted(late.keys() - {*emptied})
        ]
        for number in emptied:
            del self._entries[number], self._sizes[number]
            drafts.append((Delete(number), _Change()))
        return drafts

    def _room_for(self, size: int, start: int, made: dict[int, _Change]) -> int:
        """Return the lowest number from ``start`` on that has room; what is too large for any gets a shard to itself.

        The number of a missing shard is not used again: somebody may put it back.
        """
        number = start
        while True:
            used = self._sizes.get(number)
            if used is None and number not in self._listed:
                made[number] = self._open(number)
                return number
            if used is not None and (used + size <= self._capacity or (not used and number != HEAD)):
                return number
            number += 1

    def _open(self, number: int) -> _Change:
        self._sizes[number] = self._entries[number] = 0
        return _Change()

    def _add(self, number: int, size: int) -> None:
        self._sizes[number] += size
        self._entries[number] += 1

    def _take(self, number: int, size: int) -> None:
        self._sizes[number] -= size
        self._entries[number] -= 1
