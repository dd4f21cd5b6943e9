"""Layered entries are what a dictionary would hold, version after version, and tell what differs between any two."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentlink.layered import Layered

KEYS = st.integers(0, 60)
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.text(max_size=2)), max_size=8)


@given(st.dictionaries(KEYS, st.text(max_size=2)), st.lists(CHANGES, max_size=12))
def test_each_version_holds_what_a_dictionary_would(table: dict[int, str], steps: list[dict[int, str | None]]) -> None:
    layered, plain = Layered(dict(table)), dict(table)
    versions = [(layered, plain)]
    for changes in steps:
        layered = layered.changed(changes)
        plain = {key: value for key, value in {**plain, **changes}.items() if value is not None}
        versions.append((layered, plain))
    for one, expected in versions:
        assert one == expected
        assert dict(one.items()) == expected
        assert sorted(one.values()) == sorted(expected.values())
        assert len(one) == len(expected)
        assert {key: one.get(key, "none") for key in range(61)} == {key: expected.get(key, "none") for key in range(61)}
        assert {key for key in range(61) if key in one} == expected.keys()
        for before, was in versions:
            # A value that is equal and another object may be told as well.
            told = {key for key in one.differing(before) if expected.get(key) != was.get(key)}
            assert told == {key for key in range(61) if expected.get(key) != was.get(key)}


def test_what_is_removed_is_not_there() -> None:
    layered = Layered({1: "a", 2: "b"}).changed({1: None})
    with pytest.raises(KeyError):
        layered[1]
    assert list(layered.changed({3: "c", 1: "d"})) == [1, 2, 3]


def test_versions_share_their_table_until_much_has_changed() -> None:
    layered = Layered(dict.fromkeys(range(50_000), "same"))
    versions = [layered]
    for number in range(3_000):
        versions.append(versions[-1].changed({number: f"other {number}"}))
    assert len({id(one._table) for one in versions}) == 3
    assert max(sys.getsizeof(one._top) for one in versions) < 100_000
    assert versions[900].differing(versions[899]) == [899]
    assert sorted(versions[1_500].differing(versions[10])) == list(range(10, 1_500))
