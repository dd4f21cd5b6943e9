"""Reports on their way to kas: kept here until kas says that they are stored, sent again after a broken connection.

Bounded whatever happens: a newer report about the same thing takes the place of the older one that still waits, and
when too many events wait the oldest go.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, TypeVar

from agentk.reports.clock import ReportClock
from agentk.reports.convert import outcome_message, ref_message
from agentlink import logs
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agentk.apply.model import Snapshot
    from agentk.reports.convert import ObjectStatus
    from agentlink.refs import ObjectRef

log = logs.get_logger("reports")

_clock = ReportClock()
"""One for all queues of the process: what counts is which report was made first."""

_K = TypeVar("_K")
_V = TypeVar("_V")

BATCH_OUTCOMES = 500
"""Outcomes in one request: about 100 kB, far below the message limit."""

BATCH_REPORTS = 100
"""Reports in one request."""

WAITING_EVENTS = 1_000
"""Events kept while kas cannot be reached; older ones are dropped first."""

LINGER_SECONDS = 0.05
"""How long a report waits for company, so that a large sync sends few requests."""

RETRY_SECONDS = 2.0
"""How long to wait after a refused batch before sending it again."""


class ReportQueue:
    """Collects reports and sends them in batches, oldest first.

    Args of the constructor: ``send`` delivers one batch and returns when kas has stored it; it raises ``failure`` when
    kas could not, and ``rejection`` (a kind of failure) when kas will never take that batch as it is. ``connected``
    returns when there is a connection.
    """

    def __init__(
        self,
        send: Callable[[wire.ReportRequest], Awaitable[None]],
        *,
        connected: Callable[[], Awaitable[None]],
        failure: type[Exception],
        rejection: type[Exception],
    ) -> None:
        self._send = send
        self._connected = connected
        self._failure = failure
        self._rejection = rejection
        self._syncs: dict[tuple[str, int], wire.Report] = {}
        self._outcomes: dict[tuple[int, ObjectRef], tuple[str, wire.ObjectOutcome]] = {}
        self._events: dict[str, wire.Report] = {}
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()

    def sync(
        self,
        snapshot: Snapshot,
        state: wire.SyncState,
        *,
        reason: str = "",
        message: str = "",
        counts: wire.SyncCounts | None = None,
    ) -> None:
        """Report the state that a sync has reached."""
        report = _report()
        report.sync.CopyFrom(
            wire.SyncReport(
                sync_id=snapshot.sync_id,
                project_id=snapshot.project_id,
                commit=snapshot.commit,
                state=state,
                reason=reason,
                message=message,
                counts=counts,
            )
        )
        key = (snapshot.sync_id, state)
        self._syncs.pop(key, None)
        self._syncs[key] = report
        self._hurry.set()
        self._wake.set()

    def outcomes(self, snapshot: Snapshot, statuses: Iterable[ObjectStatus]) -> None:
        """Report what became of objects, or how they fare now."""
        for status in statuses:
            key = (snapshot.project_id, status.ref)
            message = outcome_message(status)
            if not status.result and (waiting := self._outcomes.pop(key, None)):
                # Health alone must not wipe out a result that has not been sent yet.
                merged = wire.ObjectOutcome()
                merged.CopyFrom(waiting[1])
                merged.health = message.health
                if message.message:
                    merged.reason, merged.message = message.reason, message.message
                message = merged
            self._outcomes[key] = (snapshot.sync_id, message)
        self._wake.set()

    def event(
        self,
        project_id: int,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        sync_id: str = "",
        ref: ObjectRef | None = None,
    ) -> None:
        """Report something worth telling a person."""
        report = _report()
        report.event.CopyFrom(
            wire.EventReport(
                project_id=project_id,
                sync_id=sync_id,
                type="Warning" if warning else "Normal",
                reason=reason,
                message=message,
                object=ref_message(ref) if ref else None,
            )
        )
        while len(self._events) >= WAITING_EVENTS:
            self._events.pop(next(iter(self._events)))
        self._events[report.id] = report
        self._wake.set()

    def forget(self) -> None:
        """Drop what waits: it is for another to report now, and this would come too late."""
        self._syncs.clear()
        self._outcomes.clear()
        self._events.clear()

    async def run(self) -> None:
        """Send, for ever."""
        while True:
            await self._wake.wait()
            if not self._hurry.is_set():
                try:
                    async with asyncio.timeout(LINGER_SECONDS):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            self._wake.clear()
            self._hurry.clear()
            await self._drain()

    async def flush(self) -> None:
        """Send what waits, once, before the program ends; what cannot be sent is lost with it."""
        try:
            await self._send_batches()
        except self._failure:
            log.warning("Reports were not delivered before the end", waiting=len(self._syncs) + len(self._outcomes))

    async def _drain(self) -> None:
        while True:
            await self._connected()
            try:
                await self._send_batches()
            except self._failure as error:
                log.debug("Reports wait", why=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _send_batches(self) -> None:
        """Send until nothing waits; what was sent is dropped only when kas has stored it and nothing newer came.

        What kas will never take is cut down until it stands alone, and only that is dropped.
        """
        most = BATCH_OUTCOMES + BATCH_REPORTS
        while self._syncs or self._outcomes or self._events:
            outcomes = list(self._outcomes.items())[: min(BATCH_OUTCOMES, most)]
            room = min(BATCH_REPORTS, most - len(outcomes))
            # A sync's end is told after its outcomes, so that whoever waits for the end finds them.
            syncs = list(self._syncs.items())[:room] if len(outcomes) == len(self._outcomes) else []
            events = list(self._events.items())[: room - len(syncs)]
            request = wire.ReportRequest(
                reports=[
                    *_outcome_reports(outcomes),
                    *(report for _, report in syncs),
                    *(report for _, report in events),
                ]
            )
            count = len(outcomes) + len(syncs) + len(events)
            try:
                await self._send(request)
            except self._rejection as error:
                if count > 1:
                    most = count // 2
                    continue
                log.error("kas will never take a report; it is dropped", why=str(error))  # noqa: TRY400 - no defect here
            else:
                most = min(BATCH_OUTCOMES + BATCH_REPORTS, 2 * most)
            _drop(self._outcomes, outcomes)
            _drop(self._syncs, syncs)
            _drop(self._events, events)


def _outcome_reports(
    outcomes: list[tuple[tuple[int, ObjectRef], tuple[str, wire.ObjectOutcome]]],
) -> list[wire.Report]:
    by_sync: dict[tuple[str, int], list[wire.ObjectOutcome]] = {}
    for (project_id, _), (sync_id, outcome) in outcomes:
        by_sync.setdefault((sync_id, project_id), []).append(outcome)
    reports = []
    for (sync_id, project_id), messages in by_sync.items():
        report = _report()
        report.outcomes.CopyFrom(wire.OutcomesReport(sync_id=sync_id, project_id=project_id, outcomes=messages))
        reports.append(report)
    return reports


def _drop(waiting: dict[_K, _V], sent: list[tuple[_K, _V]]) -> None:
    for key, value in sent:
        if waiting.get(key) is value:
            del waiting[key]


def _report() -> wire.Report:
    report = wire.Report(id=uuid.uuid4().hex)
    report.at.FromNanoseconds(_clock.now())
    return report
