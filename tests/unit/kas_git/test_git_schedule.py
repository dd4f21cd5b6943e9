from __future__ import annotations

import pytest

from kas.git.schedule import MAX_PAUSE, pause, trusting


@pytest.mark.parametrize(
    ("interval", "failures", "expected"),
    [(20, 0, 20), (20, 1, 40), (20, 3, 160), (20, 4, MAX_PAUSE), (20, 10_000, MAX_PAUSE), (600, 5, 600)],
)
def test_each_failure_doubles_the_pause_up_to_a_cap(interval: float, failures: int, expected: float) -> None:
    assert pause(interval, failures, 0.5) == pytest.approx(expected)


def test_chance_spreads_the_pause_by_a_tenth_to_either_side() -> None:
    assert pause(20, 0, 0.0) == pytest.approx(18)
    assert pause(20, 0, 1.0) == pytest.approx(22)


def test_the_more_webhooks_tell_the_rarer_are_looks_up_to_a_bound() -> None:
    assert [trusting(20.0, told) for told in (0, 1, 2, 3, 4, 10_000)] == [20.0, 40.0, 80.0, 160.0, 200.0, 200.0]
