"""Whatever was seen of an object comes back as it was, packed or not."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentk.apply.model import Live, Ordering
from agentk.gitops.seen import Seen
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "shop", "settings")
USUAL = Live(REF, "8a5f8f4e-1111-2222-3333-444455556666", "100042", "0123456789abcdef", "7-1", labelled=True)

HEX = "0123456789abcdef"
NUMERALS = st.integers(0, 2**70).map(str)
LIVES = st.builds(
    Live,
    ref=st.just(REF),
    uid=st.uuids().map(str) | st.uuids().map(lambda uid: str(uid).upper()) | st.text(max_size=40),
    resource_version=NUMERALS | NUMERALS.map("0{}".format) | st.text(max_size=5),
    fingerprint=st.none() | st.text(HEX, min_size=16, max_size=16) | st.text(max_size=17),
    owner=st.none() | st.text(max_size=3),
    labelled=st.booleans(),
    keep_on_remove=st.booleans(),
    ignore_mutation=st.booleans(),
    deleting=st.booleans(),
    appliers=st.frozensets(st.text(max_size=3), max_size=2),
    ordering=st.none() | st.just(Ordering(wave=1)),
    migrate=st.booleans(),
    from_secrets=st.booleans(),
    inventory=st.booleans(),
)


@given(LIVES, LIVES)
@example(USUAL, replace(USUAL, fingerprint=None))
@example(USUAL, replace(USUAL, fingerprint="0" * 16))
@example(USUAL, replace(USUAL, resource_version="0"))
@example(USUAL, replace(USUAL, resource_version="٣"))
@example(USUAL, replace(USUAL, uid=USUAL.uid + "\n"))
def test_an_object_comes_back_as_it_was_seen(first: Live, second: Live) -> None:
    seen = Seen()
    seen.put(first)
    assert (seen[REF], seen.holds(first), seen.holds(second)) == (first, True, first == second)
    seen.put(second)
    assert dict(seen) == {REF: second}
    assert seen.pop(REF) == second
    assert (len(seen), seen.get(REF), seen.pop(REF), seen.holds(second)) == (0, None, None, False)


def many(count: int) -> list[Live]:
    return [
        replace(USUAL, ref=REF._replace(name=f"cm-{number}"), uid=f"8a5f8f4e-1111-2222-3333-{number:012}")
        for number in range(count)
    ]


def test_some_of_them_stay_as_they_were_while_others_change() -> None:
    first, second, third = many(3)
    seen = Seen()
    seen.put(first)
    seen.put(second)
    some = seen.some([second.ref, third.ref])
    seen.put(replace(second, resource_version="7", owner="7-2"))
    some.put(replace(third, owner="7-3"))
    assert dict(some) == {second.ref: second, third.ref: replace(third, owner="7-3")}
    assert dict(seen) == {first.ref: first, second.ref: replace(second, resource_version="7", owner="7-2")}


def test_objects_of_others_are_found_by_their_owner() -> None:
    ours, theirs, nobodys = many(3)
    theirs, nobodys = replace(theirs, owner="7-2"), replace(nobodys, owner=None, appliers=frozenset({"flux"}))
    seen = Seen()
    for live in (ours, theirs, nobodys):
        seen.put(live)
    assert seen.of_others("7-1") == (theirs, nobodys)
    assert seen.of_others("7-2") == (ours, nobodys)
    assert seen.of_others("7-9") == (ours, theirs, nobodys)


@pytest.mark.parametrize(
    "usual",
    [
        USUAL,
        replace(USUAL, fingerprint=None, owner=None, labelled=False),
        replace(USUAL, resource_version=str(2**32 - 1), deleting=True, migrate=True),
    ],
)
def test_what_is_usual_takes_64_bytes(usual: Live) -> None:
    seen = Seen()
    seen.put(usual)
    (kept,) = seen._objects.values()
    assert sys.getsizeof(kept) <= 64
