"""What kas keeps, as frozen values. Times are aware and in UTC; ids are the database's own unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from agentlink.refs import ObjectRef


CONFIGURATION_REF: Final = "configuration"
"""The ``ref`` of a sync that stands for an agent's configuration. A branch reads ``branch configuration``."""


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A Git project that kas has met. Its id is part of inventory names in clusters, so it never changes."""

    id: int
    path: str


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


@dataclass(frozen=True, slots=True)
class ApiTokenRecord:
    """A token for kas' own API, without its secret. ``role`` is a word that kas.web gives meaning.

    ``project`` is the group or project that the token is bound to, empty for none.
    """

    id: int
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    project: str = ""

    def live(self, now: datetime) -> bool:
        """Tell whether the token still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change: the API token's name and id, None where there was none, and the caller's address."""

    name: str
    token_id: int | None
    peer: str


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the audit log. ``seq`` grows with each, from 1.

    ``action`` is such as ``agent.create``; ``outcome`` is done or refused. ``project`` is the path of the project that
    the change concerns, empty for none; ``subject`` names what was changed, ``reason`` says why it was refused.
    """

    seq: int
    at: datetime
    actor: Actor
    action: str
    outcome: str
    project: str
    subject: str
    reason: str = ""


class SyncState(StrEnum):
    """How far a sync has come."""

    RECEIVED = "received"
    APPLYING = "applying"
    APPLIED = "applied"
    WAITING = "waiting"
    """All that Git wants is applied and healthy, and objects that left Git wait for somebody to confirm their prune."""
    HEALTHY = "healthy"
    FAILED = "failed"
    STALLED = "stalled"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will happen by itself."""
        return self not in {SyncState.RECEIVED, SyncState.APPLYING, SyncState.APPLIED}


class SyncKind(StrEnum):
    """What a sync stands for."""

    REVISION = "revision"
    """A revision that was sent to the agent, which reports about it."""
    REFUSAL = "refusal"
    """A revision that kas could not use and never sent: broken YAML, a missing ref, a repository that is gone."""
    CONFIGURATION = "configuration"
    """A configuration of the agent that kas could not use, or (healthy, with a reason) in which something is odd."""


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
    configuration project with the ref ``configuration`` and that kind.

    ``received_at`` orders the syncs of a project. ``applied_at`` is when the revision was first applied whole;
    ``finished_at`` is None while the sync is under way (again). ``reported_at`` is the agent's own clock at the newest
    report taken in, and only compares with other reports of that agent. ``seen_at`` is when its ref was found to
    have this revision, by the clock of the kas that looked; None where that is not known. ``sent_objects`` is how many
    objects kas sent with it, whatever the agent counts.
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
    kind: SyncKind = SyncKind.REVISION
    reported_at: datetime | None = None
    seen_at: datetime | None = None
    sent_objects: int = 0


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """The newest outcome and health of one object of a project on an agent.

    ``result`` is created, configured, unchanged, pruned, skipped or failed; ``health`` is current, in_progress, failed,
    terminating, not_found or unknown; each is empty while nothing was reported.
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

    ``agent_id`` and ``project_id`` are None where the event concerns no agent or project. ``seq`` is the order in which
    events were stored, from 1, and what readers go on after; 0 for one that is not stored yet.
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
    seq: int = 0


class HoldKind(StrEnum):
    """How somebody keeps a project from following its ref."""

    SUSPENSION = "suspension"
    """Nothing is done for the project, whatever is pushed and whatever drifts."""
    PIN = "pin"
    """The project stays at a commit that was chosen."""


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """What somebody ordered for a project on an agent, until it ends.

    ``project_id`` is None for all projects of the agent. ``by`` is the name of the API token that ordered it,
    ``reason`` what was said about it. ``until`` is when a suspension ends by itself, None for never. Of a pin,
    ``commit`` is what was chosen and ``available`` the newest commit at the project's ref, empty while it is not known.
    ``ended_at`` and ``ended_by`` are set when somebody ended it before its time. Two that differ in what is available
    are the same order.
    """

    id: int
    agent_id: int
    project_id: int | None
    kind: HoldKind
    by: str
    reason: str
    at: datetime
    until: datetime | None = None
    commit: str = ""
    available: str = field(default="", compare=False)
    ended_at: datetime | None = None
    ended_by: str = ""

    def in_force(self, now: datetime) -> bool:
        """Tell whether it still holds."""
        return self.ended_at is None and (self.until is None or now < self.until)
