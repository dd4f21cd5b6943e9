from __future__ import annotations

import pytest

from agentk.apply.model import Outcome, Result
from agentk.gitops.announcing import Announcement, is_news, of_outcomes, of_state
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire

COMMIT = "0123456789abcdef"


def ref(name: str) -> ObjectRef:
    return ObjectRef("apps", "Deployment", "web", name)


@pytest.mark.parametrize(
    ("state", "reason", "announced"),
    [
        (wire.SYNC_STATE_RECEIVED, "", None),
        (wire.SYNC_STATE_APPLYING, "", None),
        (wire.SYNC_STATE_APPLIED, "Progressing", None),
        (wire.SYNC_STATE_APPLIED, "DryRun", None),
        (wire.SYNC_STATE_SUPERSEDED, "NewerRevision", None),
        (
            wire.SYNC_STATE_HEALTHY,
            "",
            Announcement("Synced", "revision 01234567 is applied and healthy: 2 created, 3 unchanged"),
        ),
        (
            wire.SYNC_STATE_FAILED,
            "Forbidden",
            Announcement("SyncFailed", "revision 01234567: Forbidden: why", warning=True),
        ),
        (
            wire.SYNC_STATE_STALLED,
            "ReconcileTimeout",
            Announcement("Stalled", "revision 01234567: ReconcileTimeout: why", warning=True),
        ),
    ],
)
def test_an_event_tells_where_a_sync_ended_and_no_step_on_the_way(
    state: wire.SyncState, reason: str, announced: Announcement | None
) -> None:
    counts = wire.SyncCounts(total=5, created=2, unchanged=3)
    assert of_state(state, reason, "why", COMMIT, counts) == announced


def test_without_a_commit_and_without_objects_it_still_reads_well() -> None:
    announced = of_state(wire.SYNC_STATE_HEALTHY, "", "", "", wire.SyncCounts())
    assert announced == Announcement("Synced", "the revision is applied and healthy: no objects")


def test_of_what_others_deleted_there_is_no_event() -> None:
    assert not list(of_outcomes([Outcome(ref("a"), Result.PRUNED, reason="AlreadyGone")]))


def test_objects_that_were_deleted_are_named_a_few_of_them() -> None:
    pruned = [Outcome(ref(name), Result.PRUNED) for name in "abcde"]
    assert list(of_outcomes(pruned[:1])) == [Announcement("Pruned", "web/deployment.apps/a left Git and was deleted")]
    (told,) = of_outcomes(pruned)
    assert told.message == (
        "web/deployment.apps/a, web/deployment.apps/b, web/deployment.apps/c and 2 more left Git and were deleted"
    )


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("PruneNeedsConfirmation", True),
        ("PruneWaits", True),
        ("EmptySnapshot", True),
        ("PruneDisabled", False),
        ("Released", False),
        ("NotOurs", False),
    ],
)
def test_of_objects_that_stay_those_are_told_that_nobody_asked_to_keep(reason: str, told: bool) -> None:  # noqa: FBT001 - of a table
    announced = list(of_outcomes([Outcome(ref("a"), Result.SKIPPED, reason=reason, message="stays")]))
    expected = [Announcement("PruneWaits", f"web/deployment.apps/a: {reason}: stays", warning=True)]
    assert announced == (expected if told else [])


def test_of_what_is_applied_nothing_is_told_object_by_object() -> None:
    results = (Result.CREATED, Result.CONFIGURED, Result.UNCHANGED, Result.FAILED)
    assert list(of_outcomes([Outcome(ref("a"), result) for result in results])) == []


SYNCED = Announcement("Synced", "revision 2 is applied and healthy")
TROUBLE = Announcement("SyncFailed", "revision 1: why", warning=True)


@pytest.mark.parametrize(
    ("announcement", "before", "counts", "news"),
    [
        (SYNCED, None, wire.SyncCounts(unchanged=5), False),
        (SYNCED, None, wire.SyncCounts(unchanged=4, configured=1), True),
        (SYNCED, None, wire.SyncCounts(pruned=1), True),
        (SYNCED, TROUBLE, wire.SyncCounts(unchanged=5), True),
        (SYNCED, SYNCED, wire.SyncCounts(created=1), False),
        (TROUBLE, SYNCED, wire.SyncCounts(unchanged=5), True),
        (TROUBLE, TROUBLE, wire.SyncCounts(), False),
    ],
)
def test_a_revision_that_changed_nothing_is_no_news_unless_it_ends_a_trouble(
    announcement: Announcement,
    before: Announcement | None,
    counts: wire.SyncCounts,
    news: bool,  # noqa: FBT001 - of a table
) -> None:
    assert is_news(announcement, before, counts) is news
