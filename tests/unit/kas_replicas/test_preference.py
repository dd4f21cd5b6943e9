"""Who should hold what: shares even out, and only what has to moves."""

from __future__ import annotations

import pytest

from kas.replicas.preference import rank, spare

KEYS = [f"project:{number}" for number in range(3000)]


def holders(replicas: list[str]) -> dict[str, str]:
    return {key: max(replicas, key=lambda replica: rank(key, replica)) for key in KEYS}


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_every_replica_gets_about_its_share(count: int) -> None:
    found = list(holders([f"replica-{number}" for number in range(count)]).values())
    for replica in set(found):
        assert found.count(replica) == pytest.approx(len(KEYS) / count, rel=0.2)
    assert len(set(found)) == count


def test_who_comes_takes_keys_from_all_and_nothing_else_moves() -> None:
    before, after = holders(["a", "b", "c"]), holders(["a", "b", "c", "d"])
    moved = {key for key in KEYS if before[key] != after[key]}
    assert {after[key] for key in moved} == {"d"}
    assert {before[key] for key in moved} == {"a", "b", "c"}


def test_who_goes_leaves_its_keys_to_all_others_and_nothing_else_moves() -> None:
    before, after = holders(["a", "b", "c"]), holders(["a", "b"])
    assert {before[key] for key in KEYS if before[key] != after[key]} == {"c"}
    assert {after[key] for key in KEYS if before[key] == "c"} == {"a", "b"}


@pytest.mark.parametrize(("held", "at_once"), [(0, 1), (1, 1), (99, 1), (100, 2), (10_000, 200)])
def test_a_fiftieth_changes_hands_in_a_turn(held: int, at_once: int) -> None:
    assert spare(held) == at_once
