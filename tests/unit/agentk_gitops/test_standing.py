"""Where a revision stands is told once, and of a suspended project with who suspended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentk.apply.model import ProjectSettings, Snapshot, Suspension
from agentk.gitops.standing import Standing, words_of
from agentk.reports.queue import ReportQueue
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from agentk.gitops.announcing import Announcement

FIRST = Snapshot(1, "c1", "s1", b"1", {"a.yaml": (b"{}",)})
SECOND = Snapshot(1, "c2", "s2", b"2", {"a.yaml": (b"{}", b"{}")})
BY_ALICE = Suspension("alice", "an incident", "2026-12-01T00:00:00Z")


class Told:
    """A project's standing, and what kas has heard of it so far."""

    def __init__(self) -> None:
        self.syncs: list[wire.SyncReport] = []
        self.announced: list[Announcement] = []
        self._queue = ReportQueue(self._send, connected=self._connected, failure=OSError, rejection=ValueError)
        self.standing = Standing(self._queue, ProjectSettings(1, "group/project", "7-1"), self.announced.append)

    async def _send(self, request: wire.ReportRequest) -> None:
        self.syncs += [report.sync for report in request.reports if report.WhichOneof("report") == "sync"]

    async def _connected(self) -> None:
        pass

    async def news(self) -> list[tuple[str, str, str]]:
        self.syncs.clear()
        await self._queue.flush()
        return [(wire.SyncState.Name(one.state)[11:].lower(), one.reason, one.message) for one in self.syncs]


@pytest.mark.parametrize(
    ("suspension", "words"),
    [
        (BY_ALICE, "suspended by alice until 2026-12-01T00:00:00Z: an incident"),
        (Suspension("alice"), "suspended by alice"),
        (Suspension(), "suspended by config.yaml (suspend: true)"),
    ],
)
def test_a_suspension_is_told_with_what_is_known_of_it(suspension: Suspension, words: str) -> None:
    assert words_of(suspension) == words


async def test_every_state_of_a_suspended_project_says_so_and_keeps_what_else_there_is_to_say() -> None:
    told = Told()
    told.standing.begin(FIRST)
    told.standing.tell(wire.SYNC_STATE_HEALTHY)
    await told.news()

    told.standing.suspend(BY_ALICE)
    told.standing.suspend(BY_ALICE)
    words = words_of(BY_ALICE)
    assert await told.news() == [("healthy", "Suspended", words)]
    told.standing.tell(wire.SYNC_STATE_FAILED, "Unhealthy", "a has failed")
    assert await told.news() == [("failed", "Suspended", f"{words}; Unhealthy: a has failed")]
    told.standing.begin(SECOND)
    assert await told.news() == [("received", "Suspended", words)]

    told.standing.suspend(None)
    assert await told.news() == []
    told.standing.tell(wire.SYNC_STATE_APPLYING)
    assert await told.news() == [("applying", "", "")]


async def test_a_state_is_told_once_and_again_when_kas_may_have_lost_it() -> None:
    told = Told()
    told.standing.tell_again()
    told.standing.begin(FIRST)
    told.standing.tell(wire.SYNC_STATE_APPLIED)
    assert [state for state, _, _ in await told.news()] == ["received", "applied"]
    told.standing.tell(wire.SYNC_STATE_APPLIED)
    assert await told.news() == []
    told.standing.tell_again()
    assert await told.news() == [("applied", "", "")]


async def test_a_revision_that_waited_for_health_is_superseded_by_the_next() -> None:
    told = Told()
    told.standing.begin(FIRST)
    told.standing.tell(wire.SYNC_STATE_APPLIED, "Progressing", "a is not ready")
    told.standing.begin(SECOND)
    assert [(one[0], one[1]) for one in (await told.news())[-2:]] == [
        ("superseded", "NewerRevision"),
        ("received", ""),
    ]
    assert told.syncs[-1].counts.total == 2
