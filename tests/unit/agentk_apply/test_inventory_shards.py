"""Which entry is where, and that no crash between two writes loses one: every prefix of every change is read again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.inventory import InventoryError, entry_of, size_of
from agentk.apply.model import Recorded
from agentk.apply.seal import Seal
from agentk.apply.shards import CAPACITY, HEAD, Create, Delete, Layout, Patch, Write, listed, written
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable

SEAL = Seal(bytes(32), "7-1")
DIGEST, PRINT, UID = "0123456789abcdef", "fedcba9876543210", "8a5f8f4e-1111-2222-3333-444455556666"


def ref(number: int) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "shop", f"object-{number:05}")


def full(number: int, digest: str = DIGEST) -> Recorded:
    return Recorded(ref(number), digest, PRINT, UID)


SIZE = size_of(ref(0))
FEW = 3 * SIZE
"""Capacity of a ConfigMap in most of these tests, so that a handful of objects is many shards."""


def changing(layout: Layout, changed: Iterable[Recorded], removed: Iterable[ObjectRef] = ()) -> tuple[Write, ...]:
    return tuple(layout.change(changed, removed, seal=SEAL))


@dataclass
class Cluster:
    """The ConfigMaps of one inventory, as the API server keeps them."""

    maps: dict[int, dict[str, str]] = field(default_factory=dict)
    shards: frozenset[int] = frozenset()
    capacity: int = FEW

    def carry_out(self, write: Write) -> None:
        match write:
            case Create(number, data):
                assert number not in self.maps
                assert number == HEAD or HEAD in self.maps, "there is no shard without a head"
                self.maps[number] = dict(data)
            case Patch(number, data, entries, shards):
                for key, value in data.items():
                    if value is None:
                        del self.maps[number][key]
                    else:
                        self.maps[number][key] = value
                assert len(self.maps[number]) == entries
                if shards is not None:
                    assert number == HEAD
                    assert all(one in self.maps for one in shards if one not in self.shards)
                    self.shards = frozenset(shards)
            case Delete(number):
                assert number not in self.shards
                del self.maps[number]
        assert all(len(m) == 1 or sum(map(len, (*m, *m.values()))) <= self.capacity for m in self.maps.values())

    def read(self) -> tuple[Layout, dict[ObjectRef, Recorded]]:
        layout = Layout(self.shards, seal=SEAL, capacity=self.capacity)
        records: dict[ObjectRef, Recorded] = {}
        for number, data in reversed(self.maps.items()):
            assert layout.read(number, data, records) is None
        return layout, records

    def copy(self) -> Cluster:
        return Cluster({number: dict(data) for number, data in self.maps.items()}, self.shards, self.capacity)


numbers = st.integers(0, 20)
changes = st.tuples(
    st.dictionaries(numbers, st.sampled_from(["", DIGEST, "a" * 16]), max_size=12), st.frozensets(numbers, max_size=12)
)


def recorded_of(changed: dict[int, str]) -> dict[ObjectRef, Recorded]:
    return {ref(n): full(n, digest) if digest else Recorded(ref(n)) for n, digest in changed.items()}


@given(st.lists(changes, max_size=8), st.data())
def test_whatever_is_written_is_read_and_a_crash_between_two_writes_forgets_nothing(
    history: list[tuple[dict[int, str], frozenset[int]]], data: st.DataObject
) -> None:
    cluster = Cluster()
    layout, known = cluster.read()
    for sets, gone in history:
        changed = recorded_of({n: value for n, value in sets.items() if n not in gone})
        removed = {ref(n) for n in gone}
        writes = changing(layout, changed.values(), removed)
        crash = data.draw(st.none() | st.integers(0, len(writes)))
        for done, write in enumerate(writes):
            if done == crash:
                break
            _, before = cluster.read()
            assert known.keys() - removed <= before.keys() <= known.keys() | changed.keys()
            cluster.carry_out(write)
        if crash is not None:
            layout, known = cluster.read()  # what a new process finds
            continue
        known = {r: one for r, one in (known | changed).items() if r not in removed}
        assert cluster.read()[1] == known
        assert cluster.shards == cluster.maps.keys() - {HEAD}, "a change that ended leaves no shard unlisted or empty"
        assert all(cluster.maps[number] for number in cluster.shards)


@given(st.lists(changes, min_size=1, max_size=6))
def test_no_change_moves_an_entry_that_stays(history: list[tuple[dict[int, str], frozenset[int]]]) -> None:
    cluster = Cluster()
    layout, _ = cluster.read()
    places: dict[str, int] = {}
    for sets, gone in history:
        for write in changing(layout, recorded_of(sets).values(), {ref(n) for n in gone}):
            cluster.carry_out(write)
        found = {key: number for number, data in cluster.maps.items() for key in data}
        assert {key: found[key] for key in places.keys() & found.keys()} == {
            key: places[key] for key in places.keys() & found.keys()
        }
        places = found


@given(st.lists(st.tuples(st.integers(0, 4), numbers, st.sampled_from(["", DIGEST])), max_size=15), changes)
def test_copies_of_an_entry_become_one_and_where_they_differ_only_the_name_is_believed(
    entries: list[tuple[int, int, str]], change: tuple[dict[int, str], frozenset[int]]
) -> None:
    cluster = Cluster({HEAD: {}})
    copies: dict[ObjectRef, set[Recorded]] = {}
    for shard, number, digest in entries:
        ((one, recorded),) = recorded_of({number: digest}).items()
        key, value = entry_of(recorded, SEAL)
        if cluster.maps.setdefault(shard, {}).get(key, value) == value:
            cluster.maps[shard][key] = value
            copies.setdefault(one, set()).add(recorded)
    cluster.capacity = 100 * SIZE
    layout, known = cluster.read()
    assert known == {one: found.pop() if len(found) == 1 else Recorded(one) for one, found in copies.items()}
    changed, removed = recorded_of(change[0]), {ref(n) for n in change[1]}
    for write in changing(layout, changed.values(), removed):
        assert known.keys() - removed <= cluster.read()[1].keys()
        cluster.carry_out(write)
    keys = [key for data in cluster.maps.values() for key in data]
    assert len(keys) == len(set(keys)), "each entry is there once"
    expected = {one: r for one, r in (known | changed).items() if one not in removed}
    assert cluster.read()[1] == expected


def test_an_entry_under_another_spelling_of_its_key_is_written_once_as_we_do() -> None:
    odd = ObjectRef("", "ConfigMap", "shop", "a:b")
    cluster = Cluster({HEAD: {"shop_a__b__ConfigMap": ""}})
    layout, known = cluster.read()
    assert known == {odd: Recorded(odd)}
    writes = changing(layout, [])
    assert [type(one) for one in writes] == [Patch, Patch]
    for write in writes:
        assert cluster.read()[1] == known
        cluster.carry_out(write)
    assert list(cluster.maps[HEAD]) == [entry_of(Recorded(odd), SEAL)[0]]


def test_a_small_inventory_is_one_configmap() -> None:
    assert changing(Layout(seal=SEAL), [full(1), full(2)]) == (
        Create(HEAD, dict(entry_of(one, SEAL) for one in (full(1), full(2)))),
    )


def test_one_changed_entry_among_fifty_thousand_is_one_patch_of_one_entry() -> None:
    layout = Layout(seal=SEAL)
    writes = changing(layout, map(full, range(50_000)))
    assert [type(write) for write in writes] == [Create] * (len(writes) - 1) + [Patch]
    created = [write for write in writes if isinstance(write, Create)]
    assert all(sum(len(key) + len(value) for key, value in write.data.items()) <= CAPACITY for write in created)
    last = writes[-1]
    assert isinstance(last, Patch)
    assert last.shards == tuple(range(1, len(writes) - 1))
    changed = full(31_415, "a" * 16)
    (patch,) = changing(layout, [changed])
    assert isinstance(patch, Patch)
    assert dict([entry_of(changed, SEAL)]) == patch.data
    assert patch.shards is None


def test_room_that_was_left_is_used_before_a_new_shard_is_made() -> None:
    cluster = Cluster()
    layout, _ = cluster.read()
    for write in changing(layout, map(full, range(9))):
        cluster.carry_out(write)
    assert cluster.maps.keys() == {0, 1, 2}
    for write in changing(layout, [full(20), full(21)], [ref(4), ref(7)]):
        cluster.carry_out(write)
    assert [len(cluster.maps[number]) for number in range(3)] == [3, 3, 3]


def test_a_name_larger_than_a_shard_gets_one_to_itself() -> None:
    huge = Recorded(ObjectRef("example.com", "Widget", "shop", "w" * (FEW + 100)))
    cluster = Cluster(capacity=FEW)
    layout, _ = cluster.read()
    for write in changing(layout, [full(1), huge, full(2)]):
        cluster.carry_out(write)
    (alone,) = [data for data in cluster.maps.values() if entry_of(huge, SEAL)[0] in data]
    assert len(alone) == 1
    assert cluster.read()[1].keys() == {ref(1), huge.ref, ref(2)}


def test_a_missing_shard_stays_listed_and_its_number_is_not_used_again() -> None:
    cluster = Cluster()
    layout, _ = cluster.read()
    for write in changing(layout, map(full, range(9))):
        cluster.carry_out(write)
    lost = cluster.maps.pop(1)
    layout, known = cluster.read()
    assert layout.missing == (1,)
    assert len(known) == 6
    for write in changing(layout, map(full, range(20, 26))):
        cluster.carry_out(write)
    assert cluster.shards == {1, 2, 3, 4}
    assert 1 not in cluster.maps
    # Put back, it is whole again, whatever was written meanwhile.
    cluster.maps[1] = lost
    layout, known = cluster.read()
    assert layout.missing == ()
    assert known.keys() == {ref(n) for n in (*range(9), *range(20, 26))}


def test_entries_that_cannot_be_read_are_named_kept_and_hide_no_others() -> None:
    layout = Layout(seal=SEAL)
    records: dict[ObjectRef, Recorded] = {}
    fault = layout.read(HEAD, {"nonsense": "", "more": "x", **dict([entry_of(full(1), SEAL)])}, records)
    assert isinstance(fault, InventoryError)
    assert "'nonsense'" in str(fault)
    assert "1 more" in str(fault)
    assert records == {ref(1): full(1)}
    (patch,) = changing(layout, [], [ref(1)])
    assert patch == Patch(HEAD, {entry_of(full(1), SEAL)[0]: None}, 2)


def test_nothing_changed_is_nothing_to_write() -> None:
    layout = Layout(seal=SEAL)
    assert changing(layout, [], [ref(1)]) == ()
    changing(layout, [full(1)])
    assert changing(layout, []) == ()
    assert changing(layout, [], [ref(2)]) == ()


def test_the_last_entry_leaves_an_empty_head_behind() -> None:
    layout = Layout(seal=SEAL)
    changing(layout, [full(1)])
    assert changing(layout, [], [ref(1)]) == (Patch(HEAD, {entry_of(full(1), SEAL)[0]: None}, 0),)


def test_who_is_removed_is_not_written_again_by_the_same_change() -> None:
    layout = Layout(seal=SEAL)
    changing(layout, [full(1)])
    (patch,) = changing(layout, [replace(full(1), digest="a" * 16)], [ref(1)])
    assert patch == Patch(HEAD, {entry_of(full(1), SEAL)[0]: None}, 0)


@given(st.frozensets(st.integers(1, 10_000)))
def test_the_list_of_shards_reads_back_as_it_was_written(shards: frozenset[int]) -> None:
    assert listed(written(shards)) == shards


@pytest.mark.parametrize("text", ["a", "1,,2", "0", "-1", "1;2", "1.5", "²"])
def test_a_list_that_is_none_is_an_error_and_not_taken_for_an_empty_one(text: str) -> None:
    with pytest.raises(InventoryError, match="list of shards"):
        listed(text)
