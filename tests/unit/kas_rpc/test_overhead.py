from __future__ import annotations

import pytest

from kas.overhead import NEWCOMER_BYTES, OVERHEAD_BYTES, Traffic, is_flood

HOUR = 3600.0
MIB = 1 << 20


@pytest.mark.parametrize(
    ("traffic", "inside", "brought", "seconds", "flood"),
    [
        # Nobody knows it yet: a large first message, and more than that.
        (Traffic(0, 4 * MIB + 20_000), False, 0, 1.0, False),
        (Traffic(0, NEWCOMER_BYTES + 1), False, 0, 9.0, True),
        # Frames that carry nothing.
        (Traffic(0, OVERHEAD_BYTES + 1), True, 0, 0.0, True),
        (Traffic(0, 100 * MIB), True, 0, 60.0, True),
        # An agent that idles for a day: a ping and its answer every ten seconds.
        (Traffic(24 * 360 * 34, 24 * 360 * 34), True, 0, 24 * HOUR, False),
        # That reports a lot, in messages that were taken.
        (Traffic(10 * MIB, 1060 * MIB), True, 1000 * MIB, 60.0, False),
        (Traffic(10 * MIB, 2000 * MIB), True, 1000 * MIB, 60.0, True),
        # That is sent a lot, and confirms it: 13 bytes for every 4 kB.
        (Traffic(1024 * MIB, 13 * 262_144), True, 0, 5.0, False),
    ],
)
def test_what_is_sent_without_use(traffic: Traffic, *, inside: bool, brought: int, seconds: float, flood: bool) -> None:
    assert is_flood(traffic, inside=inside, brought=brought, seconds=seconds) is flood
