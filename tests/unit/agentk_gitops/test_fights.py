"""Corrections are made at once until they turn into a fight."""

from __future__ import annotations

from agentk.gitops.fights import PAUSE_SECONDS, ROUNDS, WINDOW_SECONDS, Fights
from agentlink.refs import ObjectRef

WEB = ObjectRef("apps", "Deployment", "shop", "web")
OTHER = ObjectRef("apps", "Deployment", "shop", "other")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_corrections_are_all_made_at_once() -> None:
    fights = Fights(Clock())

    assert all(fights.enter(WEB) for _ in range(ROUNDS))
    assert fights.remaining is None


def test_one_more_in_the_window_is_left_alone_and_named_when_the_pause_is_over() -> None:
    clock = Clock()
    fights = Fights(clock)
    for _ in range(ROUNDS):
        fights.enter(WEB)

    assert not fights.enter(WEB)
    assert not fights.enter(WEB)
    assert fights.enter(OTHER)
    assert fights.remaining == PAUSE_SECONDS
    assert fights.due() == []

    clock.now += PAUSE_SECONDS

    assert fights.due() == [WEB]
    assert fights.due() == []
    assert fights.enter(WEB)


def test_corrections_that_are_far_apart_are_no_fight() -> None:
    clock = Clock()
    fights = Fights(clock)

    for _ in range(ROUNDS * 3):
        assert fights.enter(WEB)
        clock.now += WINDOW_SECONDS / ROUNDS + 1


def test_what_was_done_last_is_remembered_for_as_long_as_it_may_be_a_fight() -> None:
    clock = Clock()
    fights = Fights(clock)
    fights.note(WEB, "never corrected")
    assert not fights.told(WEB)
    fights.enter(WEB)
    fights.note(WEB, "was changed by somebody")
    assert fights.told(WEB) == "was changed by somebody"
    clock.now += WINDOW_SECONDS * 2
    fights.enter(OTHER)
    assert not fights.told(WEB)
