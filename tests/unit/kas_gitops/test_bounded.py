"""A mapping that weighs no more than its limit."""

from __future__ import annotations

from kas.gitops.bounded import Bounded


def test_what_was_used_longest_ago_goes_first() -> None:
    kept: Bounded[str, str] = Bounded(6, len)
    for key, value in (("a", "12"), ("b", "123")):
        kept.put(key, value)
    assert kept.get("a") == "12"
    kept.put("c", "1234")
    assert (kept.get("a"), kept.get("b"), kept.get("c"), kept.weight) == ("12", None, "1234", 6)


def test_a_value_in_place_of_another_counts_alone() -> None:
    kept: Bounded[str, str] = Bounded(6, len)
    for _ in range(5):
        kept.put("a", "123456")
    assert (len(kept), kept.weight) == (1, 6)


def test_the_newest_stays_whatever_it_weighs() -> None:
    kept: Bounded[str, str] = Bounded(2, len)
    kept.put("a", "1")
    kept.put("b", "1" * 50)
    assert (kept.get("a"), len(kept)) == (None, 1)
    kept.put("c", "1")
    assert (kept.get("b"), kept.get("c"), kept.weight) == (None, "1", 1)
