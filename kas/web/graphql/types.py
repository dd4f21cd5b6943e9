"""What the schema is made of, named as GitLab names it. Each type reads through the ``Request`` of its query.

Not ``from __future__ import annotations``: strawberry makes the schema from what the annotations are at run time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Generic, TypeAlias, TypeVar

import strawberry
from strawberry import Private
from strawberry.types import Info as AnyInfo

from kas.rpc.sessions import Session
from kas.store.records import AgentRecord, ProjectRecord, TokenRecord
from kas.store.store import Store
from kas.web.authorization import Caller
from kas.web.connected import Connected
from kas.web.errors import bad_request
from kas.web.graphql.ids import AGENT, PROJECT, BigInt, ClustersAgentTokenID, global_id
from kas.web.graphql.pages import PageRequest, page_of
from kas.web.queries import is_project_path
from kas.web.registration import Registration

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Request:
    """What resolvers need: who asks, and the parts that answer."""

    caller: Caller
    store: Store
    sessions: Connected
    registration: Registration
    warnings: list[str] = field(default_factory=list)
    """What GitLab has no place for: they are in the answer's ``extensions``."""


Info: TypeAlias = AnyInfo[Request, None]

First: TypeAlias = Annotated[int | None, strawberry.argument(description="At most so many, from the beginning.")]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Lines after this cursor.")]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description="At most so many, from the end.")]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Lines before this cursor.")]


@strawberry.type(description="Information about pagination in a connection.")
class PageInfo:
    """Whether there is more on either side of a page."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="A line and its cursor.")
class Edge(Generic[T]):
    """A line and its cursor."""

    cursor: str
    node: T


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """A page of a list."""

    count: int = strawberry.field(description="How many lines there are in all.")
    edges: list[Edge[T]]
    nodes: list[T]
    page_info: PageInfo


def connection(lines: list[R], key: Callable[[R], str], shown: Callable[[R], T], asked: PageRequest) -> Connection[T]:
    """Make a page of values out of records.

    Raises:
        ApiError: there is no such page.
    """
    try:
        page = page_of(lines, key, asked)
    except ValueError as error:
        raise bad_request(str(error)) from error
    edges = [Edge(cursor=cursor, node=shown(line)) for cursor, line in page.lines]
    return Connection(
        count=page.count,
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


@strawberry.enum(description="Agent token statuses.")
class AgentTokenStatus(Enum):
    """Whether a token still opens anything."""

    ACTIVE = "active"
    REVOKED = "revoked"


@strawberry.type(description="Information about a connected agent.")
class AgentMetadata:
    """What an agent says of itself."""

    version: str | None = strawberry.field(description="Version of agentk.")
    commit: str | None = strawberry.field(description="Commit that agentk was built from.")
    pod_namespace: str | None = strawberry.field(description="Namespace of the pod that runs agentk.")
    pod_name: str | None = strawberry.field(description="Name of the pod that runs agentk.")
    kubernetes_version: str | None = strawberry.field(description="Version of the cluster; GitLab does not have this.")


@strawberry.type(description="Connection details for an agent.")
class ConnectedAgent:
    """One live connection."""

    connected_at: datetime | None = strawberry.field(description="When the connection was established.")
    connection_id: BigInt | None = strawberry.field(description="ID of the connection.")
    metadata: AgentMetadata | None = strawberry.field(description="What the agent says of itself.")


def _connected(session: Session) -> ConnectedAgent:
    meta = session.meta
    return ConnectedAgent(
        connected_at=session.connected_at,
        # Ours are hexadecimal texts, GitLab's are numbers.
        connection_id=BigInt(int(session.connection_id, 16)),
        metadata=AgentMetadata(
            version=meta.version or None,
            commit=meta.commit or None,
            pod_namespace=meta.pod_namespace or None,
            pod_name=meta.pod_name or None,
            kubernetes_version=meta.kubernetes_version or None,
        ),
    )


@strawberry.type(description="A token that an agent connects with; its secret is never shown here.")
class ClusterAgentToken:
    """An agent's token."""

    record: Private[TokenRecord]
    agent: Private[AgentRecord]

    @strawberry.field(description="Global ID of the token.")
    def id(self) -> ClustersAgentTokenID:
        """See the schema."""
        return ClustersAgentTokenID(self.record.id)

    @strawberry.field(description="Name given to the token.")
    def name(self) -> str | None:
        """See the schema."""
        return self.record.name

    @strawberry.field(description="Description of the token.")
    def description(self) -> str | None:
        """See the schema."""
        return self.record.description

    @strawberry.field(description="When the token was created.")
    def created_at(self) -> datetime | None:
        """See the schema."""
        return self.record.created_at

    @strawberry.field(description="When the token was last used, to the minute.")
    def last_used_at(self) -> datetime | None:
        """See the schema."""
        return self.record.last_used_at

    @strawberry.field(description="Current status of the token.")
    def status(self) -> AgentTokenStatus | None:
        """See the schema."""
        return AgentTokenStatus.ACTIVE if self.record.revoked_at is None else AgentTokenStatus.REVOKED

    @strawberry.field(description="Agent that the token is for.")
    def cluster_agent(self) -> Annotated["ClusterAgent", strawberry.lazy("kas.web.graphql.types")] | None:
        """See the schema."""
        return ClusterAgent(record=self.agent)


@strawberry.type(description="A registered agent.")
class ClusterAgent:
    """A registered agent."""

    record: Private[AgentRecord]

    @strawberry.field(description="Global ID of the agent.")
    def id(self) -> strawberry.ID:
        """See the schema."""
        return strawberry.ID(global_id(AGENT, self.record.id))

    @strawberry.field(description="Name of the agent.")
    def name(self) -> str | None:
        """See the schema."""
        return self.record.name

    @strawberry.field(description="When the agent was registered.")
    def created_at(self) -> datetime | None:
        """See the schema."""
        return self.record.created_at

    @strawberry.field(description="Configuration project of the agent.")
    def project(self) -> Annotated["Project", strawberry.lazy("kas.web.graphql.types")] | None:
        """See the schema."""
        return Project(record=ProjectRecord(self.record.project_id, self.record.project))

    @strawberry.field(description="Tokens of the agent, the newest first, the revoked ones too.")
    async def tokens(  # noqa: PLR0917 -- the schema's arguments, always named
        self,
        info: Info,
        status: AgentTokenStatus | None = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ClusterAgentToken]:
        """See the schema."""
        revoked = None if status is None else status is AgentTokenStatus.REVOKED
        found = [
            token
            for token in reversed(await info.context.store.tokens.list(self.record.id))
            if revoked in {None, token.revoked_at is not None}
        ]
        return connection(
            found,
            lambda token: str(token.id),
            lambda token: ClusterAgentToken(record=token, agent=self.record),
            PageRequest(first, after, last, before),
        )

    @strawberry.field(description="Live connections of the agent.")
    def connections(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ConnectedAgent]:
        """See the schema."""
        return connection(
            list(info.context.sessions.of_agent(self.record.id)),
            lambda session: session.connection_id,
            _connected,
            PageRequest(first, after, last, before),
        )


@strawberry.type(description="A project that kas has met.")
class Project:
    """A project that kas has met."""

    record: Private[ProjectRecord]

    @strawberry.field(description="Global ID of the project in kas; GitLab's only where it is pinned in the settings.")
    def id(self) -> strawberry.ID:
        """See the schema."""
        return strawberry.ID(global_id(PROJECT, self.record.id))

    @strawberry.field(description="Full path of the project.")
    def full_path(self) -> strawberry.ID:
        """See the schema."""
        return strawberry.ID(self.record.path)

    @strawberry.field(description="Agent of that name; null where there is none.")
    async def cluster_agent(self, info: Info, name: str) -> ClusterAgent | None:
        """See the schema."""
        for agent in await info.context.store.agents.list(self.record.path):
            if agent.name == name:
                return ClusterAgent(record=agent)
        return None

    @strawberry.field(description="Agents whose configuration is in the project, by name.")
    async def cluster_agents(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ClusterAgent]:
        """See the schema."""
        return connection(
            list(await info.context.store.agents.list(self.record.path)),
            lambda agent: agent.name,
            lambda agent: ClusterAgent(record=agent),
            PageRequest(first, after, last, before),
        )


async def find_project(request: Request, path: str) -> Project | None:
    """Return a project that kas has met and the caller may see; None for any other."""
    if not is_project_path(path) or not request.caller.sees(path):
        return None
    for project in await request.store.projects.list():
        if project.path == path:
            return Project(record=project)
    return None
