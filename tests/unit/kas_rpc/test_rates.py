"""How much each token may send."""

from __future__ import annotations

from kas.rpc.rates import LEAST_BYTES, RateLimits, Rates

KIBIBYTE = 1024


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def rates(clock: Clock) -> Rates:
    return Rates(RateLimits(per_second=10 * KIBIBYTE, burst=100 * KIBIBYTE), clock=clock)


def test_a_burst_is_taken_at_once_and_then_as_much_as_time_brings() -> None:
    clock = Clock()
    bucket = rates(clock)
    assert [bucket.take(1, 20 * KIBIBYTE) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1, 20 * KIBIBYTE) == 2.0
    clock.now = 1.0
    assert bucket.take(1, 20 * KIBIBYTE) == 1.0
    clock.now = 2.0
    assert bucket.take(1, 20 * KIBIBYTE) == 0.0


def test_what_one_token_uses_is_not_taken_from_another() -> None:
    bucket = rates(Clock())
    assert bucket.take(1, 100 * KIBIBYTE) == 0.0
    assert bucket.take(1, 1) > 0
    assert bucket.take(2, 100 * KIBIBYTE) == 0.0


def test_a_silence_saves_no_more_than_a_burst() -> None:
    clock = Clock()
    bucket = rates(clock)
    clock.now = 1e6
    assert bucket.take(1, 100 * KIBIBYTE) == 0.0
    assert bucket.take(1, LEAST_BYTES) > 0


def test_a_call_with_little_in_it_is_a_call() -> None:
    bucket = rates(Clock())
    assert sum(bucket.take(1, 0) == 0.0 for _ in range(1000)) == 100 * KIBIBYTE // LEAST_BYTES


def test_what_is_larger_than_a_burst_is_taken_and_paid_for_afterwards() -> None:
    clock = Clock()
    bucket = rates(clock)
    assert bucket.take(1, 150 * KIBIBYTE) == 0.0
    clock.now = 5.0
    assert bucket.take(1, LEAST_BYTES) > 0
    clock.now = 6.0
    assert bucket.take(1, LEAST_BYTES) == 0.0
