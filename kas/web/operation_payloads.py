"""The JSON of what people order: its shapes, and how records become it. Pure, as ``kas.web.payloads``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from kas.store.records import HoldKind
from kas.web import times
from kas.web.hold_payloads import hold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kas.git.history import CommitInfo
    from kas.gitops.answers import Answered
    from kas.gitops.answers import ObjectDiff as Difference
    from kas.gitops.operating import DiffStarted
    from kas.store.records import HoldRecord
    from kas.web.hold_payloads import Hold
    from kas.web.payloads import AgentRef, Counts, Object, Ref, Sync


class Ordered(TypedDict):
    """The answer to an order about a project, or about all of an agent (None). ``notes`` are for people."""

    agent: str
    agent_id: int
    connected: bool
    project: str | None
    hold: Hold | None
    notes: list[str]


class Reconciled(TypedDict):
    """What an agent answered about one project; ``reason`` and ``message`` are empty where the sync has begun."""

    project: str
    at: str
    reason: str
    message: str


class Overtaken(TypedDict):
    """Whether an agent was never sent a commit because a newer push came first: ``by`` is that one, or empty."""

    project: str
    commit: str
    by: str


class WaitingPrune(TypedDict):
    """The objects that wait for a confirmation, and what stands for exactly these."""

    project: str
    digest: str
    objects: list[Object]


class Confirmed(TypedDict):
    """The answer to a confirmation."""

    project: str
    objects: int
    message: str


class Commit(TypedDict):
    """What a commit says of itself."""

    author: str
    subject: str
    at: str | None


class HistoryEntry(TypedDict):
    """One thing that happened to a project: a sync (with its commit where that can be read), a suspension or a pin."""

    type: Literal["sync", "suspension", "pin"]
    at: str
    sync: Sync | None
    commit: Commit | None
    hold: Hold | None


class FieldDiff(TypedDict):
    """One field that would change: JSON pointer, and values as JSON, empty where there is none."""

    path: str
    before: str
    after: str


class ObjectDiff(TypedDict):
    """What would become of one object."""

    project: str
    object: Ref
    result: str
    reason: str
    message: str
    path: str
    fields: list[FieldDiff]


class ProjectDiff(TypedDict):
    """A diff of a project begins."""

    project: str
    ref: str
    commit: str
    notes: list[str]


class ProjectDiffEnd(TypedDict):
    """A diff of a project is complete."""

    project: str
    counts: Counts


def ordered(
    agent: AgentRef, project: str | None, record: HoldRecord | None, now: datetime, notes: Sequence[str]
) -> Ordered:
    """Describe what was ordered."""
    return Ordered(
        agent=agent["name"],
        agent_id=agent["id"],
        connected=agent["status"] == "connected",
        project=project,
        hold=None if record is None else hold(record, now),
        notes=list(notes),
    )


def commit(info: CommitInfo) -> Commit:
    """Describe a commit."""
    return Commit(author=info.author, subject=info.subject, at=times.optional_time(info.at))


def entry_of_sync(sync: Sync, info: CommitInfo | None) -> HistoryEntry:
    """Describe a sync in a history."""
    described = None if info is None else commit(info)
    return HistoryEntry(type="sync", at=sync["received_at"], sync=sync, commit=described, hold=None)


def entry_of_hold(record: HoldRecord, now: datetime) -> HistoryEntry:
    """Describe a suspension or a pin in a history."""
    kind: Literal["suspension", "pin"] = "suspension" if record.kind is HoldKind.SUSPENSION else "pin"
    described = hold(record, now)
    return HistoryEntry(type=kind, at=described["at"], sync=None, commit=None, hold=described)


def diff_started(started: DiffStarted) -> ProjectDiff:
    """Describe the beginning of a project's diff."""
    return ProjectDiff(project=started.project, ref=started.ref, commit=started.commit, notes=list(started.notes))


def object_diff(project: str, found: Difference) -> ObjectDiff:
    """Describe what would become of an object."""
    ref = found.object
    return ObjectDiff(
        project=project,
        object={"group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        result=found.result,
        reason=found.reason,
        message=found.message,
        path=found.path,
        fields=[FieldDiff(path=field.path, before=field.before, after=field.after) for field in found.fields],
    )


def diff_end(project: str, part: Answered) -> ProjectDiffEnd:
    """Describe the end of a project's diff."""
    counts = part.counts
    return ProjectDiffEnd(
        project=project,
        counts={
            "total": counts.total,
            "created": counts.created,
            "configured": counts.configured,
            "unchanged": counts.unchanged,
            "pruned": counts.pruned,
            "skipped": counts.skipped,
            "failed": counts.failed,
        },
    )
