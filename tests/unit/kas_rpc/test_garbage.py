"""The more agents, the less often Python looks for garbage; what ended sessions leave is looked for all the same."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from kas.garbage import Garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.fixture
def looks() -> Iterator[list[int]]:
    """What was looked at, a generation each."""
    seen: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(look)
    yield seen
    gc.callbacks.remove(look)


def test_what_a_push_makes_for_ten_thousand_agents_is_not_looked_through_with_everything(looks: list[int]) -> None:
    Garbage().turn(10_000, 0)
    gc.collect()
    looks.clear()
    pushed = [[[number]] for number in range(1_000_000)]
    assert pushed
    assert looks
    assert set(looks) == {0}


def test_with_few_agents_it_is_looked_as_often_as_python_does() -> None:
    Garbage().turn(10, 0)
    assert gc.get_threshold()[0] == 700


def test_what_many_ended_sessions_leave_is_looked_for_once(looks: list[int]) -> None:
    garbage = Garbage()
    gc.disable()
    try:
        for sessions, ended in ((1000, 350), (1000, 351), (1000, 700), (0, 702)):
            garbage.turn(sessions, ended)
    finally:
        gc.enable()
    assert looks == [2, 2]
