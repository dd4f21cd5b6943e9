from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kas.rpc.ages import JITTER, Ages, Due


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_a_session_is_asked_at_its_age_and_ended_after_the_grace() -> None:
    ages = Ages(age=100, grace=10, uniform=middle)
    ages.began("a", 0)
    assert ages.due(99.9) == Due()
    assert ages.due(100) == Due(move=("a",))
    assert ages.asked("a")
    assert ages.due(109.9) == Due()
    assert ages.due(110) == Due(end=("a",))
    assert ages.due(1000) == Due()


def test_one_that_has_ended_is_left_alone() -> None:
    ages = Ages(age=100, grace=10, uniform=middle)
    ages.began("a", 0)
    ages.began("b", 0)
    ages.ended("a")
    assert ages.due(100) == Due(move=("b",))
    ages.ended("b")
    assert ages.due(1000) == Due()
    assert not ages.asked("b")


def test_without_an_age_only_a_drain_moves_anybody() -> None:
    ages = Ages(age=0, uniform=middle)
    ages.began("a", 0)
    assert ages.due(1e9) == Due()
    ages.drain(1e9, 20)
    assert ages.due(1e9 + 5) == Due(move=("a",))
    assert ages.due(1e9 + 15) == Due(end=("a",))


@given(count=st.integers(1, 200), began=st.floats(0, 50))
def test_those_that_begin_together_move_apart_but_within_the_jitter(count: int, began: float) -> None:
    ages = Ages(age=100, grace=10)
    for number in range(count):
        ages.began(str(number), began)
    assert ages.due(began + 100 * (1 - JITTER) - 0.01) == Due()
    assert len(ages.due(began + 100 * (1 + JITTER) + 0.01).move) == count


@given(count=st.integers(1, 200))
def test_a_drain_asks_everybody_in_its_first_half_and_is_over_at_its_end(count: int) -> None:
    ages = Ages(age=100, grace=10)
    for number in range(count):
        ages.began(str(number), 0)
    ages.drain(1, 20)
    asked = [due for tick in range(11) for due in ages.due(1 + tick).move]
    assert sorted(asked) == sorted(map(str, range(count)))
    ended = [due for tick in range(11, 21) for due in ages.due(1.001 + tick).end]
    assert sorted(ended) == sorted(asked)


def test_what_has_ended_is_not_kept() -> None:
    ages = Ages(age=100, grace=10)
    for number in range(10_000):
        ages.began(str(number), 0)
        ages.ended(str(number))
    assert len(ages._queue) < 200
