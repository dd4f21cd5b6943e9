"""The JSON of the HTTP API: its shapes, and how records become it.

Pure. The handlers send these values and the command line reads them, so the shapes are written once. Times are RFC 3339
strings in UTC with milliseconds; names are as in ``kas.store.records``. Nothing here can hold a secret except
``CreatedToken``, which is answered once. What is about access is in ``access_payloads.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from kas.web.hold_payloads import suspended_by_config
from kas.web.times import optional_time, time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlink.refs import ObjectRef
    from kas.store.records import (
        AgentRecord,
        EventRecord,
        ObjectRecord,
        SyncRecord,
        TokenRecord,
    )
    from kas.web.hold_payloads import Hold, Holding

AgentStatus = Literal["connected", "disconnected", "never connected", "token revoked"]


_SESSION_REASONS = frozenset({"Connected", "Disconnected"})
"""The events of ``kas.reports.session_events`` that tell when an agent was there."""


class Connection(TypedDict):
    """One live stream of an agent, with what the agent says of itself."""

    id: str
    token_id: int
    connected_at: str
    transport: str
    version: str
    commit: str
    pod_namespace: str
    pod_name: str
    kubernetes_version: str
    capabilities: list[str]


class SyncTotals(TypedDict):
    """How many projects an agent has a newest sync for, and how many of those are healthy."""

    total: int
    healthy: int


class AgentRef(TypedDict):
    """An agent as other values name it. ``last_seen_at`` is None for one that is connected, or never was."""

    id: int
    name: str
    project: str
    status: AgentStatus
    last_seen_at: str | None


class Agent(AgentRef):
    """A registered agent; ``connections`` is empty while it is not connected.

    ``suspension`` is one of the whole agent.
    """

    created_at: str
    suspension: Hold | None
    connections: list[Connection]
    syncs: SyncTotals


class CreatedAgent(Agent):
    """The answer to registering one; ``warnings`` are for people, such as that its project cannot be reached."""

    warnings: list[str]


class Token(TypedDict):
    """An agent's token without its secret."""

    id: int
    agent_id: int
    agent: str
    name: str
    description: str
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


class CreatedToken(Token):
    """The answer to creating a token, the only one that ever holds the secret."""

    secret: str


class Counts(TypedDict):
    """How many objects of a sync had which result."""

    total: int
    created: int
    configured: int
    unchanged: int
    pruned: int
    skipped: int
    failed: int


class Sync(TypedDict):
    """One revision of one project on one agent; ``kind`` and ``state`` as in ``kas.store.records``.

    ``suspension`` and ``pin`` are what holds for the project now, in the lines of its revisions.
    """

    id: str
    kind: str
    agent: AgentRef
    project_id: int
    project: str
    ref: str
    commit: str
    state: str
    reason: str
    message: str
    counts: Counts
    received_at: str
    applied_at: str | None
    finished_at: str | None
    updated_at: str
    suspension: Hold | None
    pin: Hold | None


class Ref(TypedDict):
    """The name of an object in a cluster."""

    group: str
    kind: str
    namespace: str
    name: str


class Object(TypedDict):
    """The newest outcome and health of one object."""

    object: Ref
    result: str
    health: str
    reason: str
    message: str
    path: str
    sync_id: str
    updated_at: str


class ProjectTree(TypedDict):
    """One project of an agent; ``sync`` is its newest."""

    project_id: int
    project: str
    sync: Sync | None
    objects: list[Object]


class Tree(TypedDict):
    """What one agent has: its projects and a page of their objects; ``next`` is the cursor of the page that follows."""

    agent: Agent
    projects: list[ProjectTree]
    next: str | None


class Event(TypedDict):
    """Something worth telling a person."""

    id: str
    at: str
    source: str
    type: str
    reason: str
    message: str
    agent: str | None
    agent_id: int | None
    project: str | None
    project_id: int | None
    sync_id: str
    object: Ref | None


def agent_status(
    tokens: Sequence[TokenRecord], events: Sequence[EventRecord], *, connected: bool
) -> tuple[AgentStatus, str | None]:
    """Return the status of an agent, and when one that is not connected was last seen.

    ``tokens`` and the newest ``events`` of the agent matter only while it is not connected. A token tells when a
    connection began or something was reported, an event when a connection ended.
    """
    if connected:
        return "connected", None
    used = [token.last_used_at for token in tokens if token.last_used_at is not None]
    there = [event.at for event in events if event.source == "agentk" or event.reason in _SESSION_REASONS]
    seen = max([*used, *there], default=None)
    if tokens and all(token.revoked_at is not None for token in tokens):
        return "token revoked", optional_time(seen)
    return ("never connected" if seen is None else "disconnected"), optional_time(seen)


def agent_ref(
    record: AgentRecord, tokens: Sequence[TokenRecord], events: Sequence[EventRecord], *, connected: bool
) -> AgentRef:
    """Name an agent with its status; see ``agent_status``."""
    status, seen = agent_status(tokens, events, connected=connected)
    return AgentRef(id=record.id, name=record.name, project=record.project, status=status, last_seen_at=seen)


def agent(
    record: AgentRecord,
    named: AgentRef,
    connections: Sequence[Connection],
    syncs: Sequence[SyncRecord],
    suspension: Hold | None = None,
) -> Agent:
    """Describe an agent; ``syncs`` are the newest of each of its projects, ``suspension`` is one of all of it."""
    return Agent(
        id=named["id"],
        name=named["name"],
        project=named["project"],
        status=named["status"],
        last_seen_at=named["last_seen_at"],
        created_at=time_of(record.created_at),
        suspension=suspension,
        connections=list(connections),
        syncs=SyncTotals(total=len(syncs), healthy=sum(sync.state == "healthy" for sync in syncs)),
    )


def owner(value: Agent) -> AgentRef:
    """Leave of an agent what names it elsewhere."""
    return AgentRef(
        id=value["id"],
        name=value["name"],
        project=value["project"],
        status=value["status"],
        last_seen_at=value["last_seen_at"],
    )


def token(record: TokenRecord, agent_name: str) -> Token:
    """Describe a token."""
    return Token(
        id=record.id,
        agent_id=record.agent_id,
        agent=agent_name,
        name=record.name,
        description=record.description,
        created_at=time_of(record.created_at),
        last_used_at=optional_time(record.last_used_at),
        revoked_at=optional_time(record.revoked_at),
    )


def created_token(value: Token, secret: str) -> CreatedToken:
    """Describe a token to the one who asked for it."""
    return CreatedToken(
        id=value["id"],
        agent_id=value["agent_id"],
        agent=value["agent"],
        name=value["name"],
        description=value["description"],
        created_at=value["created_at"],
        last_used_at=value["last_used_at"],
        revoked_at=value["revoked_at"],
        secret=secret,
    )


def _message(record: SyncRecord, owner: AgentRef) -> str:
    """Return what is said of a sync, with the command that ends a wait for people."""
    if record.state != "waiting":
        return record.message
    command = f"kas confirm-prune {record.project} --agent {owner['project']}:{owner['name']}"
    return f"{record.message}; to look at them, and confirm it: `{command}`"


def sync(record: SyncRecord, owner: AgentRef, holding: Holding | None = None) -> Sync:
    """Describe a sync; ``holding`` is what holds for its project now."""
    counts = record.counts
    return Sync(
        id=record.id,
        kind=record.kind.value,
        agent=owner,
        project_id=record.project_id,
        project=record.project,
        ref=record.ref,
        commit=record.commit,
        state=record.state.value,
        reason=record.reason,
        message=_message(record, owner),
        counts=Counts(
            total=counts.total,
            created=counts.created,
            configured=counts.configured,
            unchanged=counts.unchanged,
            pruned=counts.pruned,
            skipped=counts.skipped,
            failed=counts.failed,
        ),
        received_at=time_of(record.received_at),
        applied_at=optional_time(record.applied_at),
        finished_at=optional_time(record.finished_at),
        updated_at=time_of(record.updated_at),
        suspension=(suspended_by_config(record) or holding["suspension"]) if holding else None,
        pin=holding["pin"] if holding else None,
    )


def ref(value: ObjectRef) -> Ref:
    """Describe the name of an object."""
    return Ref(group=value.group, kind=value.kind, namespace=value.namespace, name=value.name)


def object_of(record: ObjectRecord) -> Object:
    """Describe an object's outcome."""
    return Object(
        object=ref(record.object),
        result=record.result,
        health=record.health,
        reason=record.reason,
        message=record.message,
        path=record.path,
        sync_id=record.sync_id,
        updated_at=time_of(record.updated_at),
    )


def event(record: EventRecord, agent_name: str | None, project: str | None) -> Event:
    """Describe an event; the names are those of its agent and project where it has one."""
    return Event(
        id=record.id,
        at=time_of(record.at),
        source=record.source,
        type=record.type,
        reason=record.reason,
        message=record.message,
        agent=agent_name,
        agent_id=record.agent_id,
        project=project,
        project_id=record.project_id,
        sync_id=record.sync_id,
        object=None if record.object is None else ref(record.object),
    )
