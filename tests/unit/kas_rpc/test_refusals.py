"""Slowing down whoever is refused: who counts as one."""

from __future__ import annotations

import pytest

from kas.rpc.refusals import REFUSALS_AT_ONCE, SECONDS_A_REFUSAL, Refusals


def _spent(refusals: Refusals, peer: str) -> None:
    assert [refusals.take(peer) for _ in range(REFUSALS_AT_ONCE + 1)] == [True] * REFUSALS_AT_ONCE + [False]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "[2001:db8:0:0:1::7]", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("no:address", "no:address", True),
        ("", "unknown", False),
    ],
)
def test_who_counts_as_one(first: str, second: str, same: bool) -> None:  # noqa: FBT001 -- a column of a table
    refusals = Refusals(lambda: 0.0)
    _spent(refusals, first)

    assert refusals.exhausted(second) is same
    assert refusals.take(second) is not same


def test_time_gives_refusals_back_and_no_more_than_there_were() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    _spent(refusals, "192.0.2.1")
    now += SECONDS_A_REFUSAL

    assert [refusals.take("192.0.2.1") for _ in range(2)] == [True, False]
    now += SECONDS_A_REFUSAL * 1000
    _spent(refusals, "192.0.2.1")
