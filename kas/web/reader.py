"""Answers the questions of the API from the store and the live sessions: records in, payloads out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kas.store.errors import NotFound
from kas.store.holds import HoldScope
from kas.store.records import SyncKind
from kas.web import hold_payloads, payloads
from kas.web.authorization import EVERYWHERE
from kas.web.cursors import cursor_after
from kas.web.errors import ApiError, not_found
from kas.web.queries import MAX_LIMIT, AgentSpec, Query
from kas.web.times import time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kas.rpc.sessions import Session
    from kas.store.records import AgentRecord, HoldRecord, SyncRecord
    from kas.store.store import Store
    from kas.web.authorization import Caller
    from kas.web.connected import Connected

_NEWEST_LIMIT: Final = 100_000
"""One line for each project of each agent: ten times what one kas is built for."""

_HISTORY_LIMIT: Final = 500
_EVENTS_LIMIT: Final = 200
_LINES_LIMIT: Final = 20
_LAST_SEEN_EVENTS: Final = 20
_NAMED_CANDIDATES: Final = 5


class Reader:
    """Reads for the handlers. Every method may raise StoreUnavailable, and ApiError where a name means nothing.

    Args:
        store: what kas keeps.
        sessions: who is connected.
        caller: who asks; agents of other projects than theirs do not exist. None for kas itself.
    """

    def __init__(self, store: Store, sessions: Connected, caller: Caller | None = None) -> None:
        self._store = store
        self._sessions = sessions
        self._caller = caller
        self._bound = caller is not None and not caller.sees(EVERYWHERE)

    def of(self, caller: Caller) -> Reader:
        """Return a reader that shows what ``caller`` may see."""
        return Reader(self._store, self._sessions, caller)

    def connections(self) -> frozenset[str]:
        """Return the ids of all live connections: when these change, so does what ``agents`` answers."""
        return frozenset(session.connection_id for session in self._sessions.list())

    async def agent(self, spec: AgentSpec) -> AgentRecord:
        """Return the agent that a caller names.

        Raises:
            ApiError: there is none, or the name alone fits several.
        """
        found = [agent for agent in await self._agents(spec.project) if agent.name == spec.name]
        if not found:
            raise not_found(
                f"there is no agent {spec}", "`kas get agents` lists them, `kas agent create` registers one"
            )
        if len(found) > 1:
            names = ", ".join(f"{agent.project}:{agent.name}" for agent in found[:_NAMED_CANDIDATES])
            message = f"{len(found)} agents are called {spec}"
            raise ApiError(HTTPStatus.CONFLICT, "Ambiguous", message, f"put the project in front: {names}")
        return found[0]

    async def agents(self, query: Query) -> list[payloads.Agent]:
        """Return agents, by project and name; ``query.project`` is the configuration project."""
        if query.agent is not None:
            records: Sequence[AgentRecord] = [await self.agent(query.agent)]
            records = [record for record in records if query.project in {None, record.project}]
        else:
            records = await self._agents(query.project)
        return await self.describe(records)

    async def describe(self, records: Sequence[AgentRecord]) -> list[payloads.Agent]:
        """Return agents with their connections and the totals of their syncs."""
        only = records[0].id if len(records) == 1 else None
        syncs: dict[int, list[SyncRecord]] = {}
        for sync in await self._store.syncs.list(only, limit=_NEWEST_LIMIT):
            syncs.setdefault(sync.agent_id, []).append(sync)
        named = await self._named(records)
        holds = await self._holds(only)
        return [
            payloads.agent(
                record,
                named[record.id],
                self._connections_of(record.id),
                syncs.get(record.id, ()),
                hold_payloads.suspended(holds.get(record.id, ())),
            )
            for record in records
        ]

    async def syncs(self, query: Query) -> dict[object, payloads.Sync]:
        """Return syncs, the newest first, each under a key that stays the same while its line does."""
        agent = None if query.agent is None else await self.agent(query.agent)
        project_id = None if query.project is None else await self._project_id(query.project)
        limit = (query.limit or _HISTORY_LIMIT) if query.everything else _NEWEST_LIMIT
        # The state is filtered here, after the newest were chosen: an old failure is not what a project stands at.
        found = await self._store.syncs.list(
            None if agent is None else agent.id,
            project_id,
            newest_only=not query.everything,
            limit=MAX_LIMIT if query.everything and (query.state or self._bound) else limit,
        )
        # Besides those of others, this leaves out an agent that was deleted between the two reads.
        owners = {record.id: record for record in ([agent] if agent else await self._agents())}
        chosen = [sync for sync in found if query.state in {None, sync.state} and sync.agent_id in owners][:limit]
        named = await self._named([owners[agent_id] for agent_id in {sync.agent_id for sync in chosen}])
        # What holds now is nothing that was so of earlier revisions.
        holds = {} if query.everything else await self._holds(None if agent is None else agent.id)
        return {
            _key(sync, everything=query.everything): payloads.sync(sync, named[sync.agent_id], _holding(sync, holds))
            for sync in chosen
        }

    async def tree(self, query: Query) -> payloads.Tree:
        """Return an agent with its projects and a page of their objects; ``query.project`` leaves the others out."""
        assert query.agent is not None  # noqa: S101 -- the handler refuses a request without one
        agent = await self.agent(query.agent)
        project_id = None if query.project is None else await self._project_id(query.project)
        (described,) = await self.describe([agent])
        objects: dict[int, list[payloads.Object]] = {}
        limit = None if query.watch else query.limit or MAX_LIMIT
        # One more says whether there is another page.
        ahead = limit and limit + 1
        found = await self._store.objects.list(agent.id, project_id, after=query.after, limit=ahead)
        page = found[:limit]
        for item in page:
            objects.setdefault(item.project_id, []).append(payloads.object_of(item))
        owner = payloads.owner(described)
        syncs = await self._store.syncs.list(agent.id, project_id, limit=_NEWEST_LIMIT)
        holds = await self._holds(agent.id)
        trees = [
            payloads.ProjectTree(
                project_id=sync.project_id,
                project=sync.project,
                sync=payloads.sync(sync, owner, _holding(sync, holds)),
                objects=objects.pop(sync.project_id, []) if sync.kind is not SyncKind.CONFIGURATION else [],
            )
            for sync in sorted(syncs, key=lambda sync: (sync.kind is not SyncKind.CONFIGURATION, sync.project))
        ]
        paths = await self._paths() if objects else {}
        trees += [
            payloads.ProjectTree(project_id=left, project=paths.get(left, str(left)), sync=None, objects=items)
            for left, items in objects.items()
        ]
        following = cursor_after(page[-1]) if len(page) < len(found) else None
        return payloads.Tree(agent=described, projects=trees, next=following)

    async def events(self, query: Query, *, after: int | None) -> tuple[list[payloads.Event], int]:
        """Return events, oldest first, and the number to go on after: the newest ones, or those after ``after``."""
        agent_id = None if query.agent is None else (await self.agent(query.agent)).id
        project_id = None if query.project is None else await self._project_id(query.project)
        limit = query.limit or _EVENTS_LIMIT
        found = await self._store.events.list(
            after=after,
            agent_id=agent_id,
            project_id=project_id,
            limit=MAX_LIMIT if query.event_type or self._bound or after is not None else limit,
        )
        agents = {agent.id: agent.name for agent in await self._agents()} if found else {}
        # What concerns no agent concerns all of kas.
        chosen = [
            event
            for event in found
            if query.event_type in {None, event.type} and (not self._bound or event.agent_id in agents)
        ]
        if after is None:
            chosen = chosen[-limit:]
        paths = await self._paths() if chosen else {}
        items = [
            payloads.event(
                event,
                None if event.agent_id is None else agents.get(event.agent_id),
                None if event.project_id is None else paths.get(event.project_id),
            )
            for event in chosen
        ]
        return items, max((event.seq for event in found), default=after or 0)

    async def history(self, query: Query) -> tuple[list[payloads.Sync], list[HoldRecord]]:
        """Return the newest revisions that a project had on an agent, and what was ordered about it; newest first."""
        assert query.agent is not None  # noqa: S101 -- as above
        assert query.project is not None  # noqa: S101 -- as above
        agent = await self.agent(query.agent)
        project_id = await self._project_id(query.project)
        limit = query.limit or _LINES_LIMIT
        found = await self._store.syncs.list(agent.id, project_id, newest_only=False, limit=limit)
        named = (await self._named([agent]))[agent.id]
        holds = await self._store.holds.history(HoldScope(agent.id, project_id), limit=limit)
        syncs = [payloads.sync(sync, named) for sync in found if sync.kind is not SyncKind.CONFIGURATION]
        return syncs, list(holds)

    async def tokens(self, agent_id: int) -> list[payloads.Token]:
        """Return an agent's tokens, oldest first."""
        agent = await self._store.agents.get(agent_id)
        if not self._sees(agent):
            raise NotFound("agent", agent_id)
        return [payloads.token(token, agent.name) for token in await self._store.tokens.list(agent_id)]

    async def _named(self, records: Iterable[AgentRecord]) -> Mapping[int, payloads.AgentRef]:
        """Return how each agent is named in payloads. Only those that are not connected cost queries."""
        connected = {session.identity.agent_id for session in self._sessions.list()}
        named = {}
        for record in records:
            if record.id in connected:
                named[record.id] = payloads.agent_ref(record, (), (), connected=True)
                continue
            tokens = await self._store.tokens.list(record.id)
            events = await self._store.events.list(agent_id=record.id, limit=_LAST_SEEN_EVENTS)
            named[record.id] = payloads.agent_ref(record, tokens, events, connected=False)
        return named

    def _connections_of(self, agent_id: int) -> list[payloads.Connection]:
        return [_connection(session) for session in self._sessions.of_agent(agent_id)]

    async def _holds(self, agent_id: int | None) -> dict[int, list[HoldRecord]]:
        """Return what holds now, by agent."""
        found: dict[int, list[HoldRecord]] = {}
        for hold in await self._store.holds.in_force(agent_id):
            found.setdefault(hold.agent_id, []).append(hold)
        return found

    async def _paths(self) -> dict[int, str]:
        return {project.id: project.path for project in await self._store.projects.list()}

    def _sees(self, agent: AgentRecord) -> bool:
        return self._caller is None or self._caller.sees(agent.project)

    async def _agents(self, project: str | None = None) -> list[AgentRecord]:
        return [agent for agent in await self._store.agents.list(project) if self._sees(agent)]

    async def _project_id(self, path: str) -> int:
        for project in await self._store.projects.list():
            if project.path == path and (not self._bound or await self._used(project.id)):
                return project.id
        raise not_found(f"kas has not met a project {path!r}", "`kas get syncs` shows the projects that agents use")

    async def _used(self, project_id: int) -> bool:
        """Tell whether an agent that the caller sees has anything of a manifest project."""
        seen = {agent.id for agent in await self._agents()}
        syncs = await self._store.syncs.list(None, project_id, limit=_NEWEST_LIMIT)
        return any(sync.agent_id in seen for sync in syncs)


def _holding(sync: SyncRecord, holds: Mapping[int, Sequence[HoldRecord]]) -> hold_payloads.Holding | None:
    if sync.kind is SyncKind.CONFIGURATION or sync.agent_id not in holds:
        return None
    return hold_payloads.holding(sync.project_id, holds[sync.agent_id])


def _key(sync: SyncRecord, *, everything: bool) -> object:
    if everything:
        return sync.agent_id, sync.id
    return sync.agent_id, sync.project_id, sync.kind is SyncKind.CONFIGURATION


def _connection(session: Session) -> payloads.Connection:
    meta = session.meta
    return payloads.Connection(
        id=session.connection_id,
        token_id=session.identity.token_id,
        connected_at=time_of(session.connected_at),
        transport=session.transport,
        version=meta.version,
        commit=meta.commit,
        pod_namespace=meta.pod_namespace,
        pod_name=meta.pod_name,
        kubernetes_version=meta.kubernetes_version,
        capabilities=sorted(session.able),
    )
