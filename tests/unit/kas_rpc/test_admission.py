from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.rpc.admission import LONGEST_TURN_SECONDS, Admission, AdmissionLimits, BusyError, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_as_many_as_fit_come_in_and_each_other_gets_a_turn_of_its_own() -> None:
    clock = Clock()
    pace = Pace(10, at_once=3, clock=clock)
    assert [pace.take() for _ in range(6)] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


@given(count=st.integers(1, 500), per_second=st.floats(5, 500))
def test_whoever_returns_at_its_turn_comes_in(count: int, per_second: float) -> None:
    clock = Clock()
    pace = Pace(per_second, at_once=2, clock=clock)
    waits = [pace.take() for _ in range(count)]
    turns = sorted(clock.now + wait for wait in waits if 0 < wait < LONGEST_TURN_SECONDS / 2)
    for turn in turns:
        clock.now = turn + 1e-6
        assert pace.take() == 0


def test_ten_thousand_at_once_are_spread_over_no_more_than_the_longest_turn() -> None:
    pace = Pace(50, at_once=100, clock=Clock())
    waits = [pace.take() for _ in range(10_000)]
    assert max(waits) <= LONGEST_TURN_SECONDS
    late = waits[5000:]
    assert min(late) >= LONGEST_TURN_SECONDS / 2
    assert max(late) - min(late) > LONGEST_TURN_SECONDS / 4


@given(st.lists(st.floats(0, 2), min_size=1, max_size=300))
def test_never_more_come_in_than_the_pace_allows(pauses: list[float]) -> None:
    clock = Clock()
    pace = Pace(10, at_once=5, clock=clock)
    begun, entered = clock.now, 0
    for pause in pauses:
        clock.now += pause
        entered += pace.take() == 0
        assert entered <= 5 + 10 * (clock.now - begun) + 1e-6


def test_a_token_with_all_of_its_sessions_takes_no_turn_of_others() -> None:
    admission = Admission(AdmissionLimits(per_second=0.5, per_token=3), clock=Clock())
    with pytest.raises(BusyError, match="3 sessions are open with this token") as full:
        admission.enter(3)
    assert full.value.retry_after >= 1
    admission.enter(2)
    with pytest.raises(BusyError, match="its turn"):
        admission.enter(0)
