"""From the wire to the store: nothing from an agent is trusted, nothing that is good is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.convert import batch_of
from kas.store.records import SyncState

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


COMMIT = "c" * 40


def test_a_sync_arrives_as_it_was_sent() -> None:
    report = wire.Report(id="r1", sync=wire.SyncReport(sync_id="s", project_id=3, commit=COMMIT))
    report.at.FromDatetime(NOW - timedelta(seconds=5))
    report.sync.state = wire.SYNC_STATE_FAILED
    report.sync.reason = "ApplyFailed"
    report.sync.message = "no\nway"
    report.sync.counts.failed = 2
    (sync,) = batch_of(7, wire.ReportRequest(reports=[report]), NOW).syncs
    assert (sync.sync_id, sync.project_id, sync.commit, sync.state) == ("s", 3, COMMIT, SyncState.FAILED)
    assert (sync.reason, sync.message, sync.counts.failed) == ("ApplyFailed", "no\nway", 2)
    assert sync.at == NOW - timedelta(seconds=5)


def test_objects_keep_what_was_not_said_empty() -> None:
    outcomes = wire.OutcomesReport(sync_id="s", project_id=3)
    outcomes.outcomes.add(object=wire.ObjectRef(kind="Pod", name="a"), health=wire.HEALTH_CURRENT)
    outcomes.outcomes.add(object=wire.ObjectRef(kind="Pod", name="b"), result=wire.RESULT_PRUNED)
    first, second = batch_of(7, wire.ReportRequest(reports=[wire.Report(outcomes=outcomes)]), NOW).objects
    assert (first.agent_id, first.object, first.result, first.health) == (
        7,
        ObjectRef("", "Pod", "", "a"),
        "",
        "current",
    )
    assert (second.result, second.health) == ("pruned", "")


def test_words_of_a_newer_agentk_do_not_spoil_the_batch() -> None:
    request = wire.ReportRequest()
    request.reports.add(sync=wire.SyncReport(sync_id="s", state=99))  # type: ignore[arg-type]  # from the future
    request.reports.add(id="empty")
    outcomes = request.reports.add().outcomes
    outcomes.outcomes.add(object=wire.ObjectRef(kind="Pod", name="a"), result=99, health=99)
    batch = batch_of(7, request, NOW)
    assert batch.syncs == ()
    assert [(item.result, item.health) for item in batch.objects] == [("", "unknown")]


def test_an_object_whose_name_is_none_is_left_out_and_never_cut() -> None:
    outcomes = wire.OutcomesReport(sync_id="s", project_id=3)
    for name in ("", "x" * 254, "a\x1bb", "good"):
        outcomes.outcomes.add(object=wire.ObjectRef(kind="Pod", name=name))
    batch = batch_of(7, wire.ReportRequest(reports=[wire.Report(outcomes=outcomes)]), NOW)
    assert [item.object.name for item in batch.objects] == ["good"]


def test_texts_are_bounded_and_inert() -> None:
    event = wire.EventReport(type="Strange", reason="R" * 999, message="\x1b[2J" + "m" * 9999)
    (stored,) = batch_of(7, wire.ReportRequest(reports=[wire.Report(id="e", event=event)]), NOW).events
    assert len(stored.reason) == 255
    assert len(stored.message) == 4096
    assert stored.message.startswith("\\x1b[2J")
    assert (stored.type, stored.id, stored.project_id, stored.object) == ("Normal", "7-e", None, None)


def test_a_time_that_cannot_be_is_now() -> None:
    request = wire.ReportRequest()
    for seconds in (0, 2**62, -(2**62), int((NOW + timedelta(days=1)).timestamp())):
        report = request.reports.add(id="e", event=wire.EventReport())
        report.at.seconds = seconds
    assert [event.at for event in batch_of(7, request, NOW).events] == [NOW] * 4


def test_counts_fit_every_database() -> None:
    report = wire.SyncReport(
        sync_id="s", commit=COMMIT, state=wire.SYNC_STATE_APPLIED, counts=wire.SyncCounts(total=2**32 - 1)
    )
    (sync,) = batch_of(7, wire.ReportRequest(reports=[wire.Report(sync=report)]), NOW).syncs
    assert sync.counts.total == 2**31 - 1


@pytest.mark.parametrize("commit", ["a" * 40, "0123456789" * 4, "a" * 64])
def test_a_sync_names_a_commit(commit: str) -> None:
    said = wire.SyncReport(sync_id="s", commit=commit, state=wire.SYNC_STATE_APPLIED)
    (sync,) = batch_of(7, wire.ReportRequest(reports=[wire.Report(sync=said)]), NOW).syncs
    assert sync.commit == commit


@pytest.mark.parametrize(
    "commit",
    ["", "main", "HEAD", "a" * 39, "a" * 41, "a" * 63, "A" * 40, "g" * 40, "a" * 40 + "\n", "--all", "\u0661" * 40],
)
def test_what_names_no_commit_is_no_sync(commit: str) -> None:
    said = wire.SyncReport(sync_id="s", commit=commit, state=wire.SYNC_STATE_APPLIED)
    assert batch_of(7, wire.ReportRequest(reports=[wire.Report(sync=said)]), NOW).syncs == ()
