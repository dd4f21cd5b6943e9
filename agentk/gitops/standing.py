"""Where the revision at hand stands, and what has been told of it: every report about a project goes through here.

Owns the revision, its state and its counts. What moves it from state to state is decided by the loop, the health watch
and drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import Result
from agentk.gitops.announcing import Announcement, is_news, of_outcomes, of_state
from agentk.gitops.computing import unhurried
from agentk.gitops.sync_result import PRUNE_WAITS, unconfirmed
from agentlink import logs
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agentk.apply.model import Outcome, ProjectSettings, Snapshot, Suspension
    from agentk.gitops.sync_result import SyncResult
    from agentk.reports.convert import ObjectStatus
    from agentk.reports.queue import ReportQueue
    from agentlink.refs import ObjectRef

log = logs.get_logger("gitops")

_TROUBLE = frozenset({wire.SYNC_STATE_FAILED, wire.SYNC_STATE_STALLED})
"""States that are worth an event: whoever looks later finds when it began."""


class Standing:
    """Tells kas, the log, and by ``announce`` the cluster, what becomes of one project's revisions; repeats nothing."""

    def __init__(
        self, reports: ReportQueue, settings: ProjectSettings, announce: Callable[[Announcement], None]
    ) -> None:
        self.reports = reports
        self._announce = announce
        self.log = log.bind(project_id=settings.path)
        self.counts = wire.SyncCounts()
        self._project_id = settings.project_id
        self._path = settings.path
        self._snapshot: Snapshot | None = None
        self._state = wire.SYNC_STATE_UNSPECIFIED
        self._suspension: Suspension | None = None
        self._newest: tuple[wire.SyncState, str, str] | None = None
        self._told: tuple[wire.SyncState, str, str] | None = None
        self._announced: Announcement | None = None
        self._unconfirmed: frozenset[ObjectRef] = frozenset()

    @property
    def snapshot(self) -> Snapshot | None:
        """Return the revision at hand, None before the first."""
        return self._snapshot

    @property
    def state(self) -> wire.SyncState:
        """Return how far it is."""
        return self._state

    def begin(self, snapshot: Snapshot) -> None:
        """Go over to a revision; the one before it, if it has not come to its end, is superseded."""
        before = self._snapshot
        if before is not None and before.sync_id != snapshot.sync_id and self._state == wire.SYNC_STATE_APPLIED:
            self.reports.sync(before, wire.SYNC_STATE_SUPERSEDED, reason="NewerRevision", counts=self.counts)
        self._snapshot = snapshot
        self._told = None
        self.counts = wire.SyncCounts(total=snapshot.objects)
        self.log = log.bind(project_id=self._path, commit_id=snapshot.commit)
        self.log.info("Revision received")
        self.tell(wire.SYNC_STATE_RECEIVED)

    def carry_over(self, snapshot: Snapshot) -> None:
        """Go over to a revision that changes nothing of this project: it is applied as the one before is."""
        before = self.counts
        self.begin(snapshot)
        unchanged = before.total - before.skipped
        self.counts = wire.SyncCounts(total=before.total, unchanged=unchanged, skipped=before.skipped)
        self.log.info("Not affected by the revision")
        self._state = wire.SYNC_STATE_APPLIED

    def suspend(self, suspension: Suspension | None) -> None:
        """Say with every state, from the present one on, that nothing is done for the project; None: not any more."""
        self._suspension = suspension
        if suspension is not None and self._newest is not None:
            self.tell(*self._newest)

    def enter(self, state: wire.SyncState) -> None:
        """Take on a state without telling it."""
        self._state = state

    def tell(self, state: wire.SyncState, reason: str = "", message: str = "") -> None:
        """Report a state of the current revision, unless it is the one reported last."""
        self._state = state
        self._newest = (state, reason, message)
        if self._suspension is not None:
            reason, message = "Suspended", _suspended(self._suspension, reason, message)
        told = (state, reason, message)
        if told == self._told or self._snapshot is None:
            return
        self._told = told
        self.reports.sync(self._snapshot, state, reason=reason, message=message, counts=self.counts)
        if state in _TROUBLE:
            self._report_event(reason, message, warning=True)
        announcement = of_state(state, reason, message, self._snapshot.commit, self.counts)
        # Objects may get unhealthy and healthy again all day long; that is not another sync.
        if announcement is not None and is_news(announcement, self._announced, self.counts):
            self._announced = announcement
            self._announce(announcement)

    def tell_again(self) -> None:
        """Report the state of the current revision anew: kas may have lost it."""
        self._told = None
        if self._newest is not None:
            self.tell(*self._newest)

    def tell_failure(self, result: SyncResult) -> None:
        """Report that objects failed, and which came first."""
        first = result.blocked or result.failed[0]
        more = f" (and {len(result.failed) - 1} more objects failed)" if len(result.failed) > 1 else ""
        where = f"{first.path}: " if first.path else ""
        self.tell(wire.SYNC_STATE_FAILED, first.reason or "ApplyFailed", f"{where}{first.ref}: {first.message}{more}")

    def tell_objects(self, statuses: Sequence[ObjectStatus]) -> None:
        """Report what became of objects, or how they fare."""
        if statuses and self._snapshot is not None:
            self.reports.outcomes(self._snapshot, statuses)

    def tell_pruning(self, result: SyncResult) -> None:
        """Tell what became of objects that left Git; of the same ones that wait for a confirmation once."""
        for announcement in of_outcomes(result.outcomes.said):
            self._announce(announcement)
        before, self._unconfirmed = self._unconfirmed, unconfirmed(result.outcomes.said)
        if self._unconfirmed and self._unconfirmed != before:
            first = next(one for one in result.outcomes.said if one.reason == PRUNE_WAITS)
            command = f"`kas get syncs --project {self._path}` gives the command that confirms it"
            message = f"{first.ref} {first.message}; {command}"
            self._report_event(PRUNE_WAITS, message, warning=True)

    def event(self, reason: str, message: str, *, warning: bool = False, ref: ObjectRef | None = None) -> None:
        """Report something about the project, or one of its objects, that is worth telling a person."""
        self._report_event(reason, message, warning=warning, ref=ref)
        self._announce(Announcement(reason, message, warning))

    def _report_event(self, reason: str, message: str, *, warning: bool, ref: ObjectRef | None = None) -> None:
        sync_id = self._snapshot.sync_id if self._snapshot else ""
        self.reports.event(self._project_id, sync_id=sync_id, reason=reason, message=message, warning=warning, ref=ref)

    async def log_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Write what was done, and what failed, into the log."""
        async for outcome in unhurried(one for one in outcomes if one.result is not Result.UNCHANGED):
            resource_key = f"{outcome.ref.group}/{outcome.ref.kind}/{outcome.ref.namespace}/{outcome.ref.name}"
            sync_result = f"{_short(outcome.ref)} {outcome.result.value}"
            if outcome.result is Result.FAILED:
                self.log.error(
                    "Sync of an object failed",
                    resource_key=resource_key,
                    sync_result=sync_result,
                    reason=outcome.reason,
                    why=outcome.message,
                )
            else:
                self.log.info("Synced", resource_key=resource_key, sync_result=sync_result)


def _short(ref: ObjectRef) -> str:
    return f"{ref.kind.lower()}.{ref.group}/{ref.name}" if ref.group else f"{ref.kind.lower()}/{ref.name}"


def words_of(suspension: Suspension) -> str:
    """Say who suspended a project, until when and why."""
    words = f"suspended by {suspension.by}" if suspension.by else "suspended by config.yaml (suspend: true)"
    if suspension.until:
        words += f" until {suspension.until}"
    return f"{words}: {suspension.reason}" if suspension.reason else words


def _suspended(suspension: Suspension, reason: str, message: str) -> str:
    """Say that a project is suspended, and how it is beside that."""
    beside = ": ".join(part for part in (reason, message) if part)
    return f"{words_of(suspension)}; {beside}" if beside else words_of(suspension)
