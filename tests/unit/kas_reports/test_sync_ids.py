"""Ids that are the same for the same thing, and for nothing else."""

from __future__ import annotations

from kas.reports.sync_id import failure_id_of, sync_id_of, warning_id_of


def test_the_id_of_a_revision_is_the_same_after_a_restart() -> None:
    assert sync_id_of(1, 2, "abc", b"\x01\x02") == "4a2f0f2bbd292cff7a5aea1504a5e715"


def test_every_part_makes_another_id() -> None:
    ids = {
        sync_id_of(1, 2, "abc", b"\x01"),
        sync_id_of(2, 2, "abc", b"\x01"),
        sync_id_of(1, 3, "abc", b"\x01"),
        sync_id_of(1, 2, "abd", b"\x01"),
        sync_id_of(1, 2, "abc", b"\x02"),
        sync_id_of(12, 0, "abc", b"\x01"),
        failure_id_of(1, 2, "branch main", "", "RefNotFound"),
        failure_id_of(1, 2, "configuration", "", "RefNotFound"),
        failure_id_of(1, 2, "branch main", "", "Unreachable"),
        warning_id_of(1, 2, "abc", "gitops", 3),
    }
    assert len(ids) == 10
    assert all(len(each) == 32 for each in ids)


def test_a_path_that_is_no_text_has_an_id_too() -> None:
    assert warning_id_of(1, 2, "abc", "\udcff", 1)
