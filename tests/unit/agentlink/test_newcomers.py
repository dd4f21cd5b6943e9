from __future__ import annotations

import pytest

from agentlink.newcomers import PATIENCE_SECONDS, NewcomerLimits, Newcomers


class Door:
    def __init__(self, in_all: int, of_an_address: int) -> None:
        self.now = 0.0
        limits = NewcomerLimits(in_all=in_all, of_an_address=of_an_address, seconds=10)
        self.newcomers: Newcomers[str] = Newcomers(limits, clock=lambda: self.now)

    def enter(self, name: str, address: str = "10.0.0.1") -> str | None:
        return self.newcomers.enter(name, address)


def test_the_oldest_of_an_address_goes_for_a_new_one_when_it_has_had_its_chance() -> None:
    door = Door(10, 2)
    assert door.enter("a") is None
    door.now = PATIENCE_SECONDS / 2
    assert door.enter("b") is None
    assert door.enter("c") == "c"
    door.now = PATIENCE_SECONDS
    assert door.enter("c") == "a"
    assert door.enter("d") == "d"
    assert len(door.newcomers) == 2


def test_other_addresses_have_room_of_their_own() -> None:
    door = Door(10, 2)
    for name in "ab":
        door.enter(name)
    assert door.enter("c") == "c"
    assert door.enter("d", "10.0.0.2") is None


def test_without_any_room_the_address_that_has_most_gives_way() -> None:
    door = Door(4, 3)
    for name in "abc":
        door.enter(name)
    assert door.enter("x", "10.0.0.2") is None
    assert door.enter("y", "10.0.0.2") == "a"
    # Two of each are there: nobody has more than this one would have.
    assert door.enter("z", "10.0.0.2") == "z"
    assert door.enter("w", "10.0.0.3") == "b"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::2:2:2:2", True),
        ("[2001:db8::1]", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("websocket", "websocket", True),
    ],
)
def test_who_chooses_addresses_in_one_network_is_one(first: str, second: str, *, same: bool) -> None:
    door = Door(10, 1)
    door.enter("a", first)
    assert door.enter("b", second) == ("b" if same else None)


def test_whoever_left_does_not_count() -> None:
    door = Door(1, 1)
    for name in ("a", "b", "a"):
        assert door.enter(name) is None
        door.newcomers.leave(name)
        door.newcomers.leave(name)
    assert len(door.newcomers) == 0


def test_while_kas_is_slow_to_let_in_the_oldest_keep_their_place_for_longer() -> None:
    door = Door(10, 2)
    door.enter("slow")
    door.now = 2.0
    door.newcomers.leave("slow", let_in=True)
    for name in "ab":
        door.enter(name)
    door.now += 2 * PATIENCE_SECONDS
    assert door.enter("c") == "c"
    door.now += 4.0
    assert door.enter("c") == "a"
    # It is soon forgotten when others are quick.
    for _ in range(50):
        door.newcomers.leave("c", let_in=True)
        door.enter("c")
    door.now += PATIENCE_SECONDS
    assert door.enter("d") == "b"


def test_the_time_of_each_ends() -> None:
    door = Door(10, 10)
    door.enter("a")
    door.now = 5.0
    door.enter("b")
    door.enter("c", "10.0.0.2")
    assert door.newcomers.overdue() == []
    door.now = 10.0
    assert door.newcomers.overdue() == ["a"]
    door.now = 15.0
    assert door.newcomers.overdue() == ["b", "c"]
    assert len(door.newcomers) == 0


def test_a_newcomer_whose_time_begins_anew_is_no_longer_the_oldest() -> None:
    door = Door(10, 2)
    for name in "ab":
        door.enter(name)
    door.now = 5.0
    door.newcomers.renew("a")
    door.newcomers.renew("nobody")
    door.now = 10.0
    assert door.newcomers.overdue() == ["b"]
    assert len(door.newcomers) == 1
