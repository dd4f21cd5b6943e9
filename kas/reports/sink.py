"""Takes in what agents report: checked, stored, and only then told to those who watch."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

import structlog

from kas.reports.convert import batch_of
from kas.reports.feed import EventAdded, ObjectsChanged, Resync, SyncChanged
from kas.reports.poison import halves, obituary, size
from kas.reports.quota import Quota, Quotas, beyond_quota
from kas.reports.sent import OURS, Sent, refusal_of
from kas.rpc.refusals import Refusals
from kas.store.batches import Batch
from kas.store.errors import StoreError, ValueRefused
from kas.store.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from agentlink.refs import ObjectRef
    from agentlink.v1 import agentlink_pb2 as wire
    from kas.reports.feed import Change, Feed
    from kas.reports.sync_id import SyncIds
    from kas.store.batches import Written
    from kas.store.records import EventRecord, ObjectRecord
    from kas.store.store import Store

log = structlog.get_logger(mod_name="reports")


_LOGGED: Final = 10
"""Ids of projects in one line of the log."""


class Identity(Protocol):
    """The agent that speaks, as ``kas.rpc`` has made sure of it."""

    @property
    def agent_id(self) -> int:
        """The agent's id."""


class ReportSink:
    """Stores the reports of all agents."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        ids: SyncIds,
        *,
        quotas: Quotas | None = None,
        count: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Store into ``store`` and tell ``feed``.

        ``ids`` tells what agents were sent, and only that is taken, as far as ``quotas`` allow.
        ``count`` hears of each batch: stored, repeated or failed; of reports that will never be stored: refused.
        """
        self._store = store
        self._feed = feed
        self._sent = Sent(store, ids)
        self._quota = Quota(store, quotas or Quotas())
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._audited = Refusals(time.monotonic)
        self._logged = Refusals(time.monotonic)
        self._count = count
        self._clock = clock

    async def store(self, identity: Identity, request: wire.ReportRequest) -> None:
        """Store a batch; when this returns, it is committed and survives the death of kas. Again: no change.

        Raises:
            StoreUnavailable: not all of it was stored; sending it again may help.
        """
        judged = await self._sent.judge(batch_of(identity.agent_id, request, self._clock()))
        # One batch of an agent at a time, as agentk sends them: what fits is known when the one before is written.
        async with self._turns.setdefault(identity.agent_id, asyncio.Lock()):
            fitted = await self._quota.fit(judged.batch)
            if size(fitted.batch):
                await self._store_batch(fitted.batch)
        if judged.unknown:
            log.warning(
                "Reports about projects that kas does not know were left out",
                agent_id=identity.agent_id,
                project_ids=sorted(judged.unknown)[:_LOGGED],
            )
        if judged.refused:
            log.warning(
                "Reports about what the agent was never sent were refused",
                agent_id=identity.agent_id,
                project_ids=sorted(judged.refused)[:_LOGGED],
            )
            await self._refuse(refusal_of(identity.agent_id, self._clock()), identity.agent_id)
        for project_id, objects in fitted.beyond.items():
            log.warning("Too many objects", agent_id=identity.agent_id, project_id=project_id, beyond=objects)
            await self._refuse(beyond_quota(identity.agent_id, project_id, self._clock()), identity.agent_id)

    async def _refuse(self, event: EventRecord, agent_id: int) -> None:
        """Tell people once a day what is not stored; the agent goes on, and need not say it again."""
        self._count("refused")
        written = await self._store_batch(Batch(agent_id, events=(event,)))
        # An agent that has its own events push out this one has it written anew, and must not fill the audit log so.
        if written is not None and written.events and self._audited.take(str(agent_id)):
            try:
                await self._sent.audit(agent_id, event)
            except StoreError as error:  # the event is there, and the agent is not to send all of it again
                log.warning("A refusal could not be noted in the audit log", agent_id=agent_id, why=str(error))

    async def _store_batch(self, batch: Batch) -> Written | None:
        """Store a batch and tell those who watch; None where it had to be cut up."""
        try:
            written = await self._store.batches.write(batch)
        except ValueRefused as error:
            await self._set_aside(batch, error.detail)
            return None
        except BaseException:
            # It may have been committed all the same, when the agent hung up in that moment; sent again it would be
            # no change, and those who watch would never hear of it.
            self._feed.publish([Resync()])
            self._count("failed")
            raise
        self._count("stored" if written.syncs or written.objects or written.events else "repeated")
        self._feed.publish(changes_of(batch.agent_id, written))
        return written

    async def _set_aside(self, batch: Batch, why: str) -> None:
        """Store what can be stored of a batch that the database refuses as a whole."""
        if size(batch) > 1:
            for half in halves(batch):
                await self._store_batch(half)
            return
        if self._logged.take(str(batch.agent_id)):
            log.warning("A report that the database will never take was left out", agent_id=batch.agent_id, why=why)
        self._count("refused")
        # Ours being refused too would be a defect; the agent is not to pay for it.
        if not any(event.source == OURS for event in batch.events):
            fitted = await self._quota.fit(obituary(batch, why, self._clock()))
            await self._store_batch(fitted.batch)


def changes_of(agent_id: int, written: Written) -> Iterator[Change]:
    """Return what a batch changed, as watchers hear of it: a sync's end after its objects."""
    for project_id, objects in _by_project(written.objects).items():
        yield ObjectsChanged(agent_id, project_id, tuple(objects))
    for sync in written.syncs:
        yield SyncChanged(sync)
    for event in written.events:
        yield EventAdded(event)


def _by_project(objects: Iterable[ObjectRecord]) -> dict[int, dict[ObjectRef, None]]:
    projects: dict[int, dict[ObjectRef, None]] = {}
    for record in objects:
        projects.setdefault(record.project_id, {})[record.object] = None
    return projects
