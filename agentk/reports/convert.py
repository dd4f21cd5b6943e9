"""From agentk's values to the wire's. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentk.apply.model import Result
from agentk.health.model import Status
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.model import Outcome
    from agentk.diff.fields import FieldChange
    from agentk.health.model import Health
    from agentlink.refs import ObjectRef

_RESULTS = {
    Result.CREATED: wire.RESULT_CREATED,
    Result.CONFIGURED: wire.RESULT_CONFIGURED,
    Result.UNCHANGED: wire.RESULT_UNCHANGED,
    Result.PRUNED: wire.RESULT_PRUNED,
    Result.SKIPPED: wire.RESULT_SKIPPED,
    Result.FAILED: wire.RESULT_FAILED,
}


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """What became of an object (``result``, None: nothing new) and how it fares (``health``, 0: nothing known)."""

    ref: ObjectRef
    result: Result | None = None
    health: wire.Health = wire.HEALTH_UNSPECIFIED
    reason: str = ""
    message: str = ""
    path: str = ""


def status_of(outcome: Outcome, health: wire.Health = wire.HEALTH_UNSPECIFIED) -> ObjectStatus:
    """Return the status to report for an outcome."""
    return ObjectStatus(outcome.ref, outcome.result, health, outcome.reason, outcome.message, outcome.path)


def ref_message(ref: ObjectRef) -> wire.ObjectRef:
    """Return a reference as the wire has it."""
    return wire.ObjectRef(group=ref.group, kind=ref.kind, namespace=ref.namespace, name=ref.name)


def outcome_message(status: ObjectStatus) -> wire.ObjectOutcome:
    """Return a status as the wire has it."""
    return wire.ObjectOutcome(
        object=ref_message(status.ref),
        result=_RESULTS[status.result] if status.result else wire.RESULT_UNSPECIFIED,
        health=status.health,
        reason=status.reason,
        message=status.message,
        path=status.path,
    )


def diff_message(outcome: Outcome, changes: Iterable[FieldChange]) -> wire.ObjectDiff:
    """Return what would become of an object as the wire has it."""
    return wire.ObjectDiff(
        object=ref_message(outcome.ref),
        result=_RESULTS[outcome.result],
        reason=outcome.reason,
        message=outcome.message,
        path=outcome.path,
        fields=[wire.FieldDiff(path=one.path, before=one.before, after=one.after) for one in changes],
    )


def count(outcomes: Iterable[Outcome]) -> wire.SyncCounts:
    """Count outcomes by result."""
    return counted(Counter(outcome.result for outcome in outcomes))


def counted(results: Mapping[Result, int], *, untouched: int = 0) -> wire.SyncCounts:
    """Return how many outcomes there are of each result.

    ``total`` leaves out what was pruned, which is neither in Git nor in the cluster. What left Git and is still there,
    because its deletion waits or failed, is in it. ``untouched`` objects, of which there is no outcome, are unchanged.
    """
    counts = wire.SyncCounts(total=untouched, unchanged=untouched)
    for result, many in results.items():
        setattr(counts, result.value, getattr(counts, result.value) + many)
        if result is not Result.PRUNED:
            counts.total += many
    return counts


_HEALTH = {
    Status.CURRENT: wire.HEALTH_CURRENT,
    Status.IN_PROGRESS: wire.HEALTH_IN_PROGRESS,
    Status.FAILED: wire.HEALTH_FAILED,
    Status.TERMINATING: wire.HEALTH_TERMINATING,
    Status.NOT_FOUND: wire.HEALTH_NOT_FOUND,
    Status.UNKNOWN: wire.HEALTH_UNKNOWN,
}


def health_of(health: Health) -> wire.Health:
    """Return a health as the wire has it."""
    return _HEALTH[health.status]


def add(counts: wire.SyncCounts, more: wire.SyncCounts) -> None:
    """Add counts of results to counts whose total is known beforehand."""
    for result in Result:
        setattr(counts, result.value, getattr(counts, result.value) + getattr(more, result.value))
