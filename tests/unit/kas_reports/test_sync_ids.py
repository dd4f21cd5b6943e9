"""Ids that are the same for the same thing, and for nothing else; those of revisions prove that kas gave them."""

from __future__ import annotations

import pytest

from kas.reports.sync_id import SyncIds, failure_id_of, warning_id_of

IDS = SyncIds(b"key")
COMMIT = "c" * 40
ID = IDS.of(1, 2, "g/p", COMMIT, b"\x01")


def test_the_id_of_a_revision_is_the_same_after_a_restart() -> None:
    assert IDS.of(1, 2, "g/p", "abc", b"\x01\x02") == "87b5148cd368496f1998a36f76624d23b3943ca5d729d7c2"


def test_every_part_makes_another_id() -> None:
    revisions = {
        ID,
        IDS.of(2, 2, "g/p", COMMIT, b"\x01"),
        IDS.of(1, 3, "g/p", COMMIT, b"\x01"),
        IDS.of(1, 2, "g/q", COMMIT, b"\x01"),
        IDS.of(1, 2, "g/p", "d" * 40, b"\x01"),
        IDS.of(1, 2, "g/p", COMMIT, b"\x02"),
        IDS.of(12, 0, "g/p", COMMIT, b"\x01"),
        SyncIds(b"other").of(1, 2, "g/p", COMMIT, b"\x01"),
    }
    assert len(revisions) == 8
    assert all(len(each) == 48 for each in revisions)
    others = {
        failure_id_of(1, 2, "branch main", "", "RefNotFound"),
        failure_id_of(1, 2, "configuration", "", "RefNotFound"),
        failure_id_of(1, 2, "branch main", "", "Unreachable"),
        warning_id_of(1, 2, "abc", "gitops", 3),
    }
    assert len(others) == 4
    assert all(len(each) == 32 for each in others)


def test_an_id_proves_what_it_was_given_for_and_nothing_else() -> None:
    assert IDS.is_of(ID, 1, 2, "g/p")
    assert IDS.is_of_commit(ID, COMMIT)
    for agent_id, project_id, path in ((2, 2, "g/p"), (1, 3, "g/p"), (1, 2, "g/q"), (12, 0, "g/p")):
        assert not IDS.is_of(ID, agent_id, project_id, path)
    assert not IDS.is_of_commit(ID, "d" * 40)
    assert not SyncIds(b"other").is_of(ID, 1, 2, "g/p")
    assert not SyncIds(b"other").is_of_commit(ID, COMMIT)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "0" * 32,
        "0" * 48,
        ID[:-1],
        ID + "0",
        ID[16:] + ID[:16],
        ID.upper(),
        "é" * 48,
        ID[:32],
        f"{ID}-1f",
        ID[:16] * 3,
    ],
)
def test_what_kas_did_not_give_proves_nothing(forged: str) -> None:
    assert not (IDS.is_of(forged, 1, 2, "g/p") and IDS.is_of_commit(forged, COMMIT))


def test_a_part_of_one_id_is_no_part_of_another() -> None:
    other = IDS.of(1, 2, "g/p", "d" * 40, b"\x01")
    mixed = ID[:32] + other[32:]
    assert IDS.is_of(mixed, 1, 2, "g/p")
    assert not IDS.is_of_commit(mixed, "d" * 40)
    assert not IDS.is_of(other[:16] + ID[16:], 1, 2, "g/p")


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(SyncIds(b"secret"))


def test_a_path_that_is_no_text_has_an_id_too() -> None:
    assert warning_id_of(1, 2, "abc", "\udcff", 1)
    assert IDS.is_of(IDS.of(1, 2, "\udcff", COMMIT, b""), 1, 2, "\udcff")
