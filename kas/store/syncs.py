"""Syncs: what kas itself says about them, and reading them. What agents report comes through ``batches.py``.

What a note of kas changes is decided in ``sync_notes.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, not_, select

from kas.store.database import lock_agent, lock_agents
from kas.store.errors import NotFound
from kas.store.events import write_events
from kas.store.records import CONFIGURATION_REF, ProjectRecord, SyncKind, SyncRecord, SyncState
from kas.store.schema import projects, syncs
from kas.store.sync_notes import Received, new_sync, receive, received_at, superseded
from kas.store.sync_rows import select_syncs, sync_of, write_syncs
from kas.store.together import Together
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import EventRecord


@dataclass(frozen=True, slots=True)
class Noted:
    """Every sync that changed, and the events that were stored with them, with their ``seq``."""

    changed: tuple[SyncRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()


class Syncs:
    """The syncs of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._receiving: Together[Received, Noted] = Together(self._receive)
        self._standing: Together[int, frozenset[tuple[int, SyncKind]]] = Together(self._stand)

    async def received(
        self,
        agent_id: int,
        project_id: int,
        *,
        sync_id: str,
        ref: str,
        commit: str,
        total: int = 0,
        seen_at: datetime | None = None,
        event: EventRecord | None = None,
    ) -> Noted:
        """Note that a revision is on its way to an agent, and with it the newest of its project.

        Older revisions that have not ended become superseded. The newest one again (a reconnect): it stays as it is,
        and refusals since then are over. An older one again (a force-push back): it starts anew. One that its ref had
        before another that is known here: a replica of kas lags behind, and that is no news.

        Args:
            agent_id: the agent.
            project_id: the manifest project.
            sync_id: the sync's, as on the wire.
            ref: what the revision was found at.
            commit: the revision.
            total: how many objects it has.
            seen_at: when the ref was found to have it; None where no ref decides, such as for a pin.
            event: stored too, in the same transaction, if this is news.

        Raises:
            NotFound: there is no such project.
        """
        return await self._receiving.do(Received(agent_id, project_id, sync_id, ref, commit, total, seen_at, event))

    async def _receive(self, all_received: Sequence[Received]) -> list[Noted]:
        now = self._clock()
        changes: list[list[SyncRecord]] = []
        news: list[EventRecord | None] = []
        async with self._database.write(durable=False) as connection:
            known, paths = await _of_projects(connection, {(one.agent_id, one.project_id) for one in all_received})
            for one in all_received:
                project = paths.get(one.project_id)
                if project is None:
                    raise NotFound("project", one.project_id)
                theirs = known.setdefault((one.agent_id, one.project_id), {})
                changed, is_news = receive(one, ProjectRecord(id=one.project_id, path=project), theirs.values(), now)
                theirs.update((sync.id, sync) for sync in changed)
                changes.append(changed)
                news.append(one.event if is_news else None)
            await write_syncs(connection, [sync for changed in changes for sync in changed])
            events = await write_events(connection, [event for event in news if event is not None])
        added = {event.id: event for event in events}
        return [
            Noted(tuple(changed), (added.pop(event.id),) if event is not None and event.id in added else ())
            for changed, event in zip(changes, news, strict=True)
        ]

    @whole
    async def failed(
        self,
        agent_id: int,
        project_id: int,
        *,
        sync_id: str,
        ref: str,
        commit: str,
        reason: str,
        message: str,
        event: EventRecord | None = None,
    ) -> Noted:
        """Note that kas could not use a revision, or (``ref`` CONFIGURATION_REF) the agent's configuration.

        What the agent is doing goes on: its syncs are left alone. The same failure again changes nothing, in other
        words only the message.

        Args:
            agent_id: the agent.
            project_id: the manifest project, or the configuration project.
            sync_id: the same for the same failure.
            ref: what was looked at.
            commit: the revision; empty where there is none.
            reason: a CamelCase word for programs.
            message: a sentence for people.
            event: stored too, in the same transaction, if this is news.

        Raises:
            NotFound: there is no such project.
        """
        kind = SyncKind.CONFIGURATION if ref == CONFIGURATION_REF else SyncKind.REFUSAL
        now = self._clock()
        async with self._database.write(durable=False) as connection:
            project = await _project(connection, project_id)
            known = await _of_project(connection, agent_id, project_id)
            scope = [sync for sync in known if (sync.kind is SyncKind.CONFIGURATION) == (ref == CONFIGURATION_REF)]
            sync = max(scope, key=received_at, default=None)
            if sync is not None and sync.id == sync_id and sync.state is SyncState.FAILED:
                if (sync.reason, sync.message) == (reason, message):
                    return Noted()
                event = None
            else:
                sync = new_sync(agent_id, project, known, sync_id=sync_id, kind=kind, now=now)
                sync = replace(sync, ref=ref, commit=commit, state=SyncState.FAILED, finished_at=sync.received_at)
            sync = replace(sync, reason=reason, message=message, updated_at=now)
            return await _write(connection, [sync], event)

    @whole
    async def recovered(
        self, agent_id: int, project_id: int, *, configuration: bool, event: EventRecord | None = None
    ) -> Noted:
        """Note that what kas could not use is over; ``event`` is stored too if that is news."""
        kind = SyncKind.CONFIGURATION if configuration else SyncKind.REFUSAL
        if (project_id, kind) not in await self._standing.do(agent_id):
            return Noted()
        now = self._clock()
        async with self._database.write(durable=False) as connection:
            known = await _of_project(connection, agent_id, project_id)
            over = [superseded(sync, now) for sync in known if sync.kind is kind and sync.state is SyncState.FAILED]
            return await _write(connection, over, event) if over else Noted()

    @whole
    async def warned(
        self, agent_id: int, project_id: int, *, sync_id: str, commit: str, reason: str, message: str
    ) -> Noted:
        """Note what is odd in the configuration that is in force; an empty ``message``: nothing is, any more.

        It stands beside its project's sync as a configuration that is well, with the reason and the message.

        Raises:
            NotFound: there is no such project.
        """
        if not message and (project_id, SyncKind.CONFIGURATION) not in await self._standing.do(agent_id):
            return Noted()
        now = self._clock()
        async with self._database.write(durable=False) as connection:
            project = await _project(connection, project_id)
            known = await _of_project(connection, agent_id, project_id)
            shown = next((sync for sync in known if sync.id == sync_id and sync.state is SyncState.HEALTHY), None)
            if not message:
                return await _write(connection, [superseded(shown, now)], None) if shown else Noted()
            if shown is not None and shown.message == message:
                return Noted()
            sync = new_sync(agent_id, project, known, sync_id=sync_id, kind=SyncKind.CONFIGURATION, now=now)
            sync = replace(sync, ref=CONFIGURATION_REF, commit=commit, state=SyncState.HEALTHY)
            sync = replace(sync, reason=reason, message=message, finished_at=sync.received_at)
            return await _write(connection, [sync], None)

    @whole
    async def left(self, agent_id: int, kept: Collection[int], *, reason: str, message: str) -> Noted:
        """Note which projects an agent still has; what it stands at of the others becomes superseded, and says why.

        Args:
            agent_id: the agent.
            kept: the ids of the manifest projects in its configuration.
            reason: a CamelCase word for programs.
            message: a sentence for people.
        """
        standing = await self._standing.do(agent_id)
        if all(project_id in kept or kind is SyncKind.CONFIGURATION for project_id, kind in standing):
            return Noted()
        now = self._clock()
        async with self._database.write(durable=False) as connection:
            await lock_agent(connection, agent_id)
            query = _scoped(select_syncs(), agent_id, None).where(
                syncs.c.kind != SyncKind.CONFIGURATION,
                syncs.c.state != SyncState.SUPERSEDED,
                syncs.c.project_id.not_in(kept),
            )
            left = [sync_of(row) for row in await connection.execute(query)]
            changed = [replace(superseded(sync, now), reason=reason, message=message) for sync in left]
            return await _write(connection, changed, None)

    async def _stand(self, agent_ids: Sequence[int]) -> list[frozenset[tuple[int, SyncKind]]]:
        """Return of each agent what is on record and not superseded: most notes of a connection find nothing to do."""
        query = select(syncs.c.agent_id, syncs.c.project_id, syncs.c.kind).distinct()
        query = query.where(syncs.c.agent_id.in_(set(agent_ids)), syncs.c.state != SyncState.SUPERSEDED)
        found: dict[int, set[tuple[int, SyncKind]]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.agent_id, set()).add((row.project_id, SyncKind(row.kind)))
        return [frozenset(found.get(agent_id, ())) for agent_id in agent_ids]

    async def get(self, agent_id: int, sync_id: str) -> SyncRecord:
        """Return one sync.

        Raises:
            NotFound: the agent has no such sync.
        """
        query = select_syncs().where(syncs.c.agent_id == agent_id, syncs.c.id == sync_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("sync", sync_id)
        return sync_of(row)

    @whole
    async def noted(self, agent_id: int, project_ids: Collection[int]) -> dict[int, dict[str, str]]:
        """Return the commit of each revision that kas has noted as sent to an agent, by project and the sync's id."""
        query = select(syncs.c.project_id, syncs.c.id, syncs.c.commit_id).where(
            # What kas notes has a ref.
            *(syncs.c.agent_id == agent_id, syncs.c.kind == SyncKind.REVISION, syncs.c.ref != ""),
            syncs.c.project_id.in_(project_ids),
        )
        found: dict[int, dict[str, str]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.project_id, {})[row.id] = row.commit_id
        return found

    @whole
    async def list(
        self,
        agent_id: int | None = None,
        project_id: int | None = None,
        *,
        newest_only: bool = True,
        limit: int = 1000,
    ) -> tuple[SyncRecord, ...]:
        """Return syncs, the most recently received first.

        Args:
            agent_id: of this agent only.
            project_id: of this manifest project only.
            newest_only: of each agent and project, only what it stands at: the newest sync that nothing superseded.
                A configuration with an error or a warning stands beside its project's sync, until it is repaired.
            limit: at most so many.
        """
        query = select_syncs()
        if newest_only:
            superseded = syncs.c.state == SyncState.SUPERSEDED
            configuration = syncs.c.kind == SyncKind.CONFIGURATION
            place = func.row_number().over(
                partition_by=(syncs.c.agent_id, syncs.c.project_id, case((configuration, 1), else_=0)),
                order_by=(case((superseded, 1), else_=0), syncs.c.received_at.desc(), syncs.c.id),
            )
            ranked = select(syncs.c.agent_id, syncs.c.id, place.label("place"))
            ranked = ranked.where(not_(and_(superseded, configuration)))
            newest = _scoped(ranked, agent_id, project_id).subquery("newest")
            same = and_(newest.c.agent_id == syncs.c.agent_id, newest.c.id == syncs.c.id, newest.c.place == 1)
            query = query.join(newest, same)
        query = _scoped(query, agent_id, project_id)
        query = query.order_by(syncs.c.received_at.desc(), syncs.c.agent_id, syncs.c.id).limit(limit)
        async with self._database.read() as connection:
            return tuple(sync_of(row) for row in await connection.execute(query))


def _scoped(query: Select[Any], agent_id: int | None, project_id: int | None) -> Select[Any]:
    if agent_id is not None:
        query = query.where(syncs.c.agent_id == agent_id)
    if project_id is not None:
        query = query.where(syncs.c.project_id == project_id)
    return query


async def _project(connection: AsyncConnection, project_id: int) -> ProjectRecord:
    path = await connection.scalar(select(projects.c.path).where(projects.c.id == project_id))
    if path is None:
        raise NotFound("project", project_id)
    return ProjectRecord(id=project_id, path=str(path))


async def _of_project(connection: AsyncConnection, agent_id: int, project_id: int) -> list[SyncRecord]:
    """Return an agent's syncs of one project; retention keeps them few. Nobody else writes them meanwhile."""
    await lock_agent(connection, agent_id)
    return [sync_of(row) for row in await connection.execute(_scoped(select_syncs(), agent_id, project_id))]


async def _of_projects(
    connection: AsyncConnection, pairs: Collection[tuple[int, int]]
) -> tuple[dict[tuple[int, int], dict[str, SyncRecord]], dict[int, str]]:
    """Return these agents' syncs of their projects by id, and the projects' paths. Nobody else writes them now."""
    about, named = {agent_id for agent_id, _ in pairs}, {project_id for _, project_id in pairs}
    await lock_agents(connection, about)
    rows = await connection.execute(select(projects.c.id, projects.c.path).where(projects.c.id.in_(named)))
    paths = {row.id: row.path for row in rows}
    known: dict[tuple[int, int], dict[str, SyncRecord]] = {}
    query = select_syncs().where(syncs.c.agent_id.in_(about), syncs.c.project_id.in_(named))
    for row in await connection.execute(query):
        known.setdefault((row.agent_id, row.project_id), {})[row.id] = sync_of(row)
    return known, paths


async def _write(connection: AsyncConnection, changed: Sequence[SyncRecord], event: EventRecord | None) -> Noted:
    await write_syncs(connection, changed)
    added = await write_events(connection, (event,)) if event is not None else []
    return Noted(tuple(changed), tuple(added))
