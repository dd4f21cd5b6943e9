from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentk.apply.model import Suspension
from agentk.gitops.standing import words_of
from kas.store.records import Counts, SyncRecord, SyncState
from kas.web.hold_payloads import suspended_by_config

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sync(reason: str, message: str) -> SyncRecord:
    return SyncRecord(
        "s", 1, 2, "group/app", "main", "c0ffee", SyncState.HEALTHY, reason, message, Counts(), AT, AT, AT, AT
    )


def test_what_config_yaml_suspends_is_told_as_its_own() -> None:
    found = suspended_by_config(sync("Suspended", f"{words_of(Suspension())}; NotAffected"))
    assert found is not None
    assert (found["kind"], found["scope"], found["by"], found["reason"]) == (
        *("suspension", "project"),
        *("config.yaml", "suspend: true"),
    )
    assert found["in_force"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [("Suspended", words_of(Suspension("alice", "freeze", ""))), ("", words_of(Suspension())), ("", "")],
)
def test_nothing_else_is_taken_for_it(reason: str, message: str) -> None:
    assert suspended_by_config(sync(reason, message)) is None
