from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentk.reports.clock import ReportClock


@given(st.lists(st.integers(0, 2**62), min_size=2))
def test_times_only_grow_however_the_clock_jumps(walls: list[int]) -> None:
    moments = iter(walls)
    clock = ReportClock(lambda: next(moments))
    times = [clock.now() for _ in walls]
    # In microseconds too, which is what kas keeps.
    assert all(before // 1000 < after // 1000 for before, after in pairwise(times))


def test_a_clock_that_goes_on_is_followed_again() -> None:
    moments = iter([1_000_000, 500_000, 2_000_000])
    clock = ReportClock(lambda: next(moments))
    assert [clock.now() for _ in range(3)] == [1_000_000, 1_001_000, 2_000_000]
