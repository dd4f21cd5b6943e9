"""Registered agents."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, update

from kas.store.audit import note
from kas.store.database import lock_agents
from kas.store.errors import AgentExists, NotFound
from kas.store.projects import ensure_project
from kas.store.records import AgentRecord
from kas.store.schema import agents, projects
from kas.store.times import from_micros, to_micros
from kas.store.together import Together
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import Actor

FIRST_ID = 10**9
LAST_ID = 10**12
"""Ids of ours are drawn from this range; those of GitLab, which count from 1, stay below it."""


class Agents:
    """The agents of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._reading_commits: Together[int, str | None] = Together(self._config_commits)
        self._setting_commits: Together[tuple[int, str], None] = Together(self._set_config_commits)

    @whole
    async def create(
        self, project: str, name: str, *, agent_id: int | None = None, by: Actor | None = None
    ) -> AgentRecord:
        """Register an agent. ``project`` is the path of its configuration project.

        Args:
            project: the path; a project met for the first time gets an id.
            name: the agent's, unique in the project.
            agent_id: the id the agent has in GitLab, to take an installation over with its inventories. Without it
                one is drawn at random: it names what the agent owns in a cluster, where an agent of another kas, or
                of this one before it lost its database, must not find its own name.
            by: who asks for it, for the audit log.

        Raises:
            AgentExists: the project has an agent of that name, or the id is taken.
        """
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            project_id = await ensure_project(connection, project, now)
            same = (agents.c.project_id == project_id) & (agents.c.name == name)
            if await connection.scalar(select(agents.c.id).where(same)) is not None:
                raise AgentExists(project, name)
            if agent_id is None:
                agent_id = await _free_id(connection)
            elif await _is_taken(connection, agent_id):
                raise AgentExists(project, name, f"id {agent_id} is another agent's")
            values = {"id": agent_id, "project_id": project_id, "name": name, "created_at": to_micros(now)}
            await connection.execute(agents.insert().values(values))
            record = AgentRecord(id=agent_id, project_id=project_id, project=project, name=name, created_at=now)
            await _note(connection, by, "agent.create", record, now)
            return record

    @whole
    async def get(self, agent_id: int) -> AgentRecord:
        """Return one agent.

        Raises:
            NotFound: no agent has that id.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select_agents().where(agents.c.id == agent_id))).one_or_none()
        if row is None:
            raise NotFound("agent", agent_id)
        return agent_of(row)

    @whole
    async def find(self, project: str, name: str) -> AgentRecord:
        """Return the agent of that configuration project and name.

        Raises:
            NotFound: there is none.
        """
        query = select_agents().where(projects.c.path == project, agents.c.name == name)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("agent", f"{project}:{name}")
        return agent_of(row)

    @whole
    async def list(self, project: str | None = None) -> tuple[AgentRecord, ...]:
        """Return the agents, of one configuration project or all, by project and name."""
        query = select_agents().order_by(projects.c.path, agents.c.name)
        if project is not None:
            query = query.where(projects.c.path == project)
        async with self._database.read() as connection:
            return tuple(agent_of(row) for row in await connection.execute(query))

    async def config_commit(self, agent_id: int) -> str:
        """Return the commit of the last configuration that could be used; empty where there was none.

        Raises:
            NotFound: no agent has that id.
        """
        commit = await self._reading_commits.do(agent_id)
        if commit is None:
            raise NotFound("agent", agent_id)
        return commit

    async def _config_commits(self, agent_ids: Sequence[int]) -> Sequence[str | None]:
        query = select(agents.c.id, agents.c.config_commit).where(agents.c.id.in_(set(agent_ids)))
        async with self._database.read() as connection:
            commits = {row.id: str(row.config_commit) for row in await connection.execute(query)}
        return [commits.get(agent_id) for agent_id in agent_ids]

    async def set_config_commit(self, agent_id: int, commit: str) -> None:
        """Remember the commit of a configuration that could be used, to go on with while newer ones cannot."""
        if await self.config_commit(agent_id) == commit:
            return
        await self._setting_commits.do((agent_id, commit))

    async def _set_config_commits(self, commits: Sequence[tuple[int, str]]) -> Sequence[None]:
        query = update(agents).where(agents.c.id == bindparam("of")).values(config_commit=bindparam("commit"))
        async with self._database.write(durable=True) as connection:
            await lock_agents(connection, {agent_id for agent_id, _ in commits})
            await connection.execute(query, [{"of": agent_id, "commit": commit} for agent_id, commit in commits])
        return [None for _ in commits]

    @whole
    async def delete(self, agent_id: int, *, by: Actor | None = None) -> None:
        """Forget an agent, its tokens, syncs, objects and events. What it applied stays in its cluster.

        ``by`` is noted in the audit log, which keeps what it says of the agent.

        Raises:
            NotFound: no agent has that id.
        """
        async with self._database.write(durable=True) as connection:
            row = (await connection.execute(select_agents().where(agents.c.id == agent_id))).one_or_none()
            if row is None:
                raise NotFound("agent", agent_id)
            await connection.execute(delete(agents).where(agents.c.id == agent_id))
            await _note(connection, by, "agent.delete", agent_of(row), self._clock())


async def _note(connection: AsyncConnection, by: Actor | None, action: str, agent: AgentRecord, at: datetime) -> None:
    if by is not None:
        subject = f"agent {agent.project}:{agent.name} (id {agent.id})"
        await note(connection, by, action, at=at, project=agent.project, subject=subject)


async def _free_id(connection: AsyncConnection) -> int:
    while await _is_taken(connection, drawn := FIRST_ID + secrets.randbelow(LAST_ID - FIRST_ID)):
        pass
    return drawn


async def _is_taken(connection: AsyncConnection, agent_id: int) -> bool:
    return await connection.scalar(select(agents.c.id).where(agents.c.id == agent_id)) is not None


def select_agents() -> Select[Any]:
    """Return the query whose rows ``agent_of`` reads; its columns all begin with ``agent_``."""
    return select(
        agents.c.id.label("agent_id"),
        agents.c.project_id.label("agent_project_id"),
        projects.c.path.label("agent_project"),
        agents.c.name.label("agent_name"),
        agents.c.created_at.label("agent_created_at"),
    ).join_from(agents, projects)


def agent_of(row: Row[Any]) -> AgentRecord:
    """Return the agent in a row of ``select_agents``, which may hold more columns."""
    return AgentRecord(
        id=row.agent_id,
        project_id=row.agent_project_id,
        project=row.agent_project,
        name=row.agent_name,
        created_at=from_micros(row.agent_created_at),
    )
