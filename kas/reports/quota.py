"""How much of the disk an agent's reports may take: as many objects as it was sent twice over, and a few beside.

Twice, since those of the revision before are reported as pruned; a few, for what was there before. What is beyond is
refused and told of; what is on record goes on being updated, with short texts where there was too much text. Counting
costs reading, so rows are counted again only when as many were written as were free the last time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kas.reports.sent import OURS
from kas.reports.texts import inert
from kas.store.errors import StoreUnavailable
from kas.store.records import EventRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from kas.store.batches import Batch
    from kas.store.records import ObjectRecord
    from kas.store.store import Store
    from kas.store.usage import Usage

_AGAIN_SECONDS: Final = 10.0
"""How long a project that is full counts as full without being counted again."""

_SHORT: Final = 160
"""Characters of a text of an agent that has written too much."""

_UNSEEN: Final = 200
"""Objects that may come before it is counted: after a restart of kas thousands of agents report at once."""

_NOTING_SECONDS: Final = 60.0
"""How long a report waits for kas' own note of what it sent; after that what is on record counts."""

_SCOPES: Final = 50_000
"""Projects of agents of which it is remembered how much room they have."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """``spare`` objects of each project beside twice those that were sent; ``text`` characters for each on average.

    ``events`` of each project are kept by retention; half as many again may be there in between.
    """

    spare: int = 1_000
    text: int = 2_048
    events: int = 1_000


@dataclass(frozen=True, slots=True)
class _Room:
    """What may be written before it is counted again, at least; of a project that is full nothing, ``until`` then."""

    objects: int
    size: int
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is to be stored of a batch, and how many objects had no room, by project."""

    batch: Batch
    beyond: Mapping[int, int]


class EventRoom:
    """Has the oldest events make room for the newest, not only now and then: ``keep`` of each project of an agent."""

    def __init__(self, store: Store, keep: int) -> None:
        self._store = store
        self._keep = keep
        self._come: dict[tuple[int | None, int | None], int] = {}

    async def come(self, agent_id: int | None, project_id: int | None, many: int) -> None:
        """Count events that come, and make room where that is half as many as are kept.

        Raises:
            StoreUnavailable: the database is away.
        """
        key = (agent_id, project_id)
        self._come[key] = self._come.get(key, 0) + many
        if self._come[key] > self._keep // 2:
            del self._come[key]
            await self._store.usage.forget_events(*key, keep=self._keep, most=self._keep)
        if len(self._come) > _SCOPES:
            self._come.clear()


class Quota:
    """Keeps what agents report within bounds. Methods raise StoreUnavailable."""

    def __init__(self, store: Store, quotas: Quotas, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._quotas = quotas
        self._clock = clock
        self._rooms: dict[tuple[int, int], _Room] = {}
        self._unnoted: dict[tuple[int, int], float] = {}
        self._events = EventRoom(store, quotas.events)

    async def fit(self, batch: Batch) -> Fitted:
        """Leave out what has no room."""
        for project_id in {event.project_id for event in batch.events}:
            many = sum(event.project_id == project_id for event in batch.events)
            await self._events.come(batch.agent_id, project_id, many)
        if not batch.objects:
            return Fitted(batch, {})
        by_project: dict[int, list[ObjectRecord]] = {}
        for item in batch.objects:
            by_project.setdefault(item.project_id, []).append(item)
        beyond: dict[int, int] = {}
        kept: list[ObjectRecord] = []
        for project_id, items in by_project.items():
            fitting = await self._fitting(batch.agent_id, project_id, items)
            if len(fitting) < len(items):
                beyond[project_id] = len(items) - len(fitting)
            kept += fitting
        return Fitted(replace(batch, objects=tuple(kept)), beyond)

    async def _fitting(self, agent_id: int, project_id: int, items: Sequence[ObjectRecord]) -> Sequence[ObjectRecord]:
        key = (agent_id, project_id)
        size = sum(len(item.message) + len(item.path) for item in items)
        room = self._rooms.get(key) or _Room(_UNSEEN, _UNSEEN * self._quotas.text)
        if room.until <= self._clock() and not _fits(room, len(items), size):
            room = await self._counted(agent_id, project_id, len(items))
        if max(len(self._rooms), len(self._unnoted)) >= _SCOPES:
            self._rooms.clear()
            self._unnoted.clear()
        if _fits(room, len(items), size):
            self._rooms[key] = replace(room, objects=room.objects - len(items), size=room.size - size)
            return items
        if size > room.size:
            items = [_shortened(item) for item in items]
        kept, new = list(items), len(items)
        if len(items) > room.objects:
            known = await self._store.usage.known(agent_id, project_id, [item.object for item in items])
            fresh = [item for item in items if item.object not in known]
            new = min(len(fresh), room.objects)
            kept = [*(item for item in items if item.object in known), *fresh[:new]]
        until = room.until if room.until > self._clock() else self._clock() + _AGAIN_SECONDS
        self._rooms[key] = _Room(room.objects - new, max(room.size - size, 0), until)
        return kept

    async def _counted(self, agent_id: int, project_id: int, coming: int) -> _Room:
        """Count what there is; what was pruned makes room first. ``coming`` objects are to be stored.

        Raises:
            StoreUnavailable: kas has not noted yet what it sent, so nobody knows how much may come.
        """
        usage = await self._store.usage.of(agent_id, project_id)
        most = self._most(usage)
        if usage.pruned and usage.objects > most // 2:
            await self._store.usage.forget_pruned(agent_id, project_id, most=max(usage.objects - most // 2, 1))
            usage = await self._store.usage.of(agent_id, project_id)
        room = _Room(max(most - usage.objects, 0), max(most * self._quotas.text - usage.size, 0))
        key = (agent_id, project_id)
        if usage.noted:
            self._unnoted.pop(key, None)
        elif coming > room.objects:
            until = self._unnoted.setdefault(key, self._clock() + _NOTING_SECONDS)
            if self._clock() < until:
                raise StoreUnavailable("what was sent is not on record yet")
        return room

    def _most(self, usage: Usage) -> int:
        return self._quotas.spare + 2 * usage.sent


def _fits(room: _Room, objects: int, size: int) -> bool:
    return objects <= room.objects and size <= room.size


def _shortened(item: ObjectRecord) -> ObjectRecord:
    return replace(item, message=inert(item.message, _SHORT, lines=True), path=inert(item.path, _SHORT))


def beyond_quota(agent_id: int, project_id: int, now: datetime) -> EventRecord:
    """Return the event that says that there was no room for all objects of a project; the same one for a day."""
    return EventRecord(
        id=f"beyond-{agent_id}-{project_id}-{now:%Y%m%d}",  # an agent's own begin with its number
        at=now,
        source=OURS,
        type="Warning",
        reason="ReportRefused",
        message="the agent reported more objects of the project than it can have from it: those that are not on record "
        "yet are not stored. If it has been driving them for long, raise reports.spare_objects in kas.yaml; otherwise "
        "somebody else has its token: revoke it and give the agent a new one",
        agent_id=agent_id,
        project_id=project_id,
    )
