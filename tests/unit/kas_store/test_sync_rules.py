"""The table of how a sync moves on, and when a report is too old to count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kas.store.records import Counts, SyncRecord, SyncState
from kas.store.sync_rules import SyncReported, advance, next_state

T0 = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

RECEIVED, APPLYING, APPLIED, WAITING, HEALTHY, FAILED, STALLED, SUPERSEDED = SyncState

# current, then what follows each report, in the order of SyncState; "-": the report changes nothing.
NEWEST = """
received   received applying applied waiting healthy failed stalled superseded
applying   -        applying applied waiting healthy failed stalled superseded
applied    -        applying applied waiting healthy failed stalled superseded
waiting    -        applying applied waiting healthy failed stalled -
healthy    -        applying applied waiting healthy failed stalled -
failed     -        applying applied waiting healthy failed stalled -
stalled    -        applying applied waiting healthy failed stalled -
superseded -        applying applied waiting healthy failed stalled superseded
"""

REPLACED = """
received   received superseded superseded waiting healthy failed stalled superseded
applying   -        superseded superseded waiting healthy failed stalled superseded
applied    -        superseded superseded waiting healthy failed stalled superseded
waiting    -        -          -          -       -       -      -       -
healthy    -        -          -          -       -       -      -       -
failed     -        -          -          -       -       -      -       -
stalled    -        -          -          -       -       -      -       -
superseded -        superseded superseded waiting healthy failed stalled superseded
"""


def rows(table: str, *, newest: bool) -> list[tuple[SyncState, SyncState, bool, SyncState | None]]:
    found = []
    for line in table.strip().splitlines():
        current, *after = line.split()
        found += [
            (SyncState(current), reported, newest, None if word == "-" else SyncState(word))
            for reported, word in zip(SyncState, after, strict=True)
        ]
    return found


@pytest.mark.parametrize(
    ("current", "reported", "newest", "expected"), rows(NEWEST, newest=True) + rows(REPLACED, newest=False)
)
def test_every_state_and_report_has_its_successor(
    current: SyncState,
    reported: SyncState,
    newest: bool,  # noqa: FBT001  # a column of the table
    expected: SyncState | None,
) -> None:
    assert next_state(current, reported, newest=newest) is expected


def sync(state: SyncState = RECEIVED, **changes: object) -> SyncRecord:
    record = SyncRecord(
        id="s",
        agent_id=1,
        project_id=1,
        project="g/p",
        ref="branch main",
        commit="c",
        state=state,
        reason="",
        message="",
        counts=Counts(),
        received_at=T0,
        applied_at=None,
        finished_at=None,
        updated_at=T0,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # the test's own fields


def report(state: SyncState, after: timedelta = SECOND, message: str = "") -> SyncReported:
    return SyncReported("s", 1, "c", state, "", message, Counts(total=3), T0 + after)


def step(record: SyncRecord, said: SyncReported, now: datetime = T0 + 60 * SECOND) -> SyncRecord | None:
    return advance(record, said, newest=True, now=now)


def test_an_older_report_changes_nothing() -> None:
    healthy = step(sync(), report(HEALTHY, 10 * SECOND))
    assert healthy is not None
    assert step(healthy, report(APPLYING, 8 * SECOND)) is None


def test_of_two_reports_of_one_moment_only_the_one_further_on_counts() -> None:
    applied = step(sync(), report(APPLIED, 10 * SECOND))
    assert applied is not None
    assert step(applied, report(APPLYING, 10 * SECOND)) is None
    further = step(applied, report(HEALTHY, 10 * SECOND))
    assert further is not None
    assert further.state is HEALTHY


def test_the_first_time_everything_was_applied_is_kept_over_a_drift() -> None:
    record: SyncRecord | None = sync()
    for second, state in enumerate((APPLYING, APPLIED, HEALTHY, APPLYING, APPLIED, HEALTHY), start=1):
        assert record is not None
        record = step(record, report(state, second * SECOND))
    assert record is not None
    assert record.applied_at == T0 + 2 * SECOND
    assert record.finished_at == T0 + 6 * SECOND
    assert record.counts.total == 3


def test_a_sync_that_goes_on_after_its_end_is_not_finished() -> None:
    failed = step(sync(), report(FAILED, message="forbidden"))
    assert failed is not None
    assert (failed.finished_at, failed.message) == (T0 + SECOND, "forbidden")
    again = step(failed, report(APPLYING, 2 * SECOND))
    assert again is not None
    assert (again.finished_at, again.message) == (None, "")


def test_a_fast_clock_of_an_agent_cannot_silence_its_later_reports() -> None:
    now = T0 + 5 * SECOND
    ahead = step(sync(), report(APPLYING, timedelta(hours=1)), now)
    assert ahead is not None
    assert ahead.reported_at == now
    later = step(ahead, report(HEALTHY, 6 * SECOND), T0 + 7 * SECOND)
    assert later is not None
    assert later.state is HEALTHY


def test_a_slow_clock_of_an_agent_shows_no_end_before_the_beginning() -> None:
    ended = step(sync(), report(HEALTHY, -timedelta(hours=1)))
    assert ended is not None
    assert ended.applied_at == T0
    assert ended.finished_at == T0
