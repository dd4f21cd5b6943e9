from __future__ import annotations

from itertools import islice

import pytest

from agentk.kube.errors import KubeError
from agentk.kube.retry import RetryPolicy
from agentk.kube.watch import _decide


def test_waits_grow_to_the_longest_and_end_with_the_attempts() -> None:
    waits = list(RetryPolicy(attempts=8, first=1.0, longest=10.0).waits())
    ceilings = [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert len(waits) == 7
    assert all(ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=True))


def test_one_attempt_waits_for_nothing() -> None:
    assert list(RetryPolicy(attempts=1).waits()) == []


def test_waiting_for_ever_neither_ends_nor_overflows() -> None:
    waits = list(islice(RetryPolicy(longest=30.0).forever(), 5000))
    assert max(waits) <= 30.0
    assert waits[-1] >= 15.0


def test_the_server_may_ask_for_more_but_not_for_ever() -> None:
    policy = RetryPolicy(longest_asked=30.0)
    assert policy.honour(0.5, KubeError(429, "TooManyRequests", "", retry_after=7.0)) == 7.0
    assert policy.honour(0.5, KubeError(429, "TooManyRequests", "", retry_after=86_400.0)) == 30.0
    assert policy.honour(0.5, KubeError(503, "ServiceUnavailable", "")) == 0.5


@pytest.mark.parametrize(
    ("status", "heard", "lasted", "relist", "at_once"),
    [
        (None, True, True, False, True),
        (None, True, False, False, True),
        (None, False, False, False, False),  # closed at once by something in between: no busy loop
        (None, False, True, True, True),  # its whole time without a bookmark: the version may be unknown
        (0, True, False, False, True),
        (0, False, False, False, False),
        (0, False, True, True, False),
        (410, True, False, True, False),
        (410, False, False, True, False),
        (403, False, False, False, False),
        (429, True, False, False, False),
        (500, False, False, True, False),
        (504, False, False, True, False),
    ],
)
def test_how_a_watch_goes_on(status: int | None, *, heard: bool, lasted: bool, relist: bool, at_once: bool) -> None:
    failure = None if status is None else KubeError(status, "", "")
    after = _decide(failure, heard=heard, lasted=lasted)
    assert (after.relist, after.at_once) == (relist, at_once)
