"""What kas keeps, as frozen values. Times are aware and in UTC; ids are the database's own unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from agentlink.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A registered agent. ``project`` is the path of its configuration project."""

    id: int
    project_id: int
    project: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An agent's token, without its secret, which is never kept. Revoked tokens stay, for the audit."""

    id: int
    agent_id: int
    name: str
    description: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class SyncState(StrEnum):
    """How far a sync has come."""

    RECEIVED = "received"
    APPLYING = "applying"
    APPLIED = "applied"
    HEALTHY = "healthy"
    FAILED = "failed"
    STALLED = "stalled"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will happen by itself."""
        return self in {SyncState.HEALTHY, SyncState.FAILED, SyncState.STALLED, SyncState.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many objects of a sync had which result."""

    total: int = 0
    created: int = 0
    configured: int = 0
    unchanged: int = 0
    pruned: int = 0
    skipped: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """One revision of one project on one agent.

    ``id`` is the sync id of the wire. ``commit`` is empty where none is known (a missing ref, a repository that is
    gone). ``project_id`` is the manifest project's; a failure of the configuration itself is a sync of the
    configuration project with the ref ``configuration``.
    """

    id: str
    agent_id: int
    project_id: int
    project: str
    ref: str
    commit: str
    state: SyncState
    reason: str
    message: str
    counts: Counts
    received_at: datetime
    applied_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """The newest outcome and health of one object of a project on an agent.

    ``result`` and ``health`` as in the wire.
    """

    agent_id: int
    project_id: int
    object: ObjectRef
    result: str
    health: str
    reason: str
    message: str
    path: str
    sync_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something worth telling a person. ``type`` is Normal or Warning; ``source`` is kas or agentk.

    ``agent_id`` and ``project_id`` are None where the event concerns no agent or project.
    """

    id: str
    at: datetime
    source: str
    type: str
    reason: str
    message: str
    agent_id: int | None = None
    project_id: int | None = None
    sync_id: str = ""
    object: ObjectRef | None = None
