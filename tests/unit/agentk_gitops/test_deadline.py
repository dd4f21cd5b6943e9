from __future__ import annotations

import pytest

from agentk.gitops.deadline import Deadline


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadline(clock: Clock) -> Deadline:
    return Deadline(clock)


def test_it_passes_once_after_a_sync(deadline: Deadline, clock: Clock) -> None:
    deadline.begin(60.0)
    assert not deadline.unwell()
    clock.now += 59
    assert not deadline.unwell()
    assert deadline.remaining == 1.0
    clock.now += 1
    assert deadline.unwell()
    assert not deadline.unwell()
    assert deadline.remaining is None


def test_what_breaks_down_long_after_it_was_well_has_all_the_time_again_and_each_time(
    deadline: Deadline, clock: Clock
) -> None:
    deadline.begin(60.0)
    for _ in range(3):
        deadline.well()
        assert deadline.remaining is None
        clock.now += 3600
        assert not deadline.unwell(), "a pod that is deleted once is no stall"
        clock.now += 60
        assert deadline.unwell()


def test_without_a_timeout_it_never_passes(deadline: Deadline, clock: Clock) -> None:
    deadline.begin(0.0)
    clock.now += 1e9
    assert not deadline.unwell()
    assert deadline.remaining is None
