"""Which Kubernetes Events tell of a project: from its states and outcomes to reason and message. Pure.

Fewer than kas hears of: an event is for somebody who looks at the cluster and asks what agentk did. Writing them is
``agentk.kube.events``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Result
from agentk.apply.rules.prune import ALREADY_GONE
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentk.apply.model import Outcome

_SHOWN: Final = 3
"""Objects that a message names."""

_COMMIT: Final = 8
"""Characters of a commit, as elsewhere."""

_SYNCED: Final = "Synced"

_WAITING: Final = frozenset({"PruneNeedsConfirmation", "PruneWaits", "EmptySnapshot"})
"""Why objects that left Git are still there although nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event, as ``EventRecorder.note`` takes it."""

    reason: str
    message: str
    warning: bool = False


def of_state(
    state: wire.SyncState, reason: str, message: str, commit: str, counts: wire.SyncCounts
) -> Announcement | None:
    """Return what to announce of a state, None where it is on the way to another one."""
    revision = f"revision {commit[:_COMMIT]}" if commit else "the revision"
    if state == wire.SYNC_STATE_HEALTHY:
        parts = [
            f"{number} {word}"
            for word, number in (
                ("created", counts.created),
                ("configured", counts.configured),
                ("unchanged", counts.unchanged),
                ("pruned", counts.pruned),
                ("skipped", counts.skipped),
            )
            if number
        ]
        return Announcement(_SYNCED, f"{revision} is applied and healthy: {', '.join(parts) or 'no objects'}")
    if state == wire.SYNC_STATE_FAILED:
        return Announcement("SyncFailed", f"{revision}: {reason}: {message}", warning=True)
    if state == wire.SYNC_STATE_STALLED:
        return Announcement("Stalled", f"{revision}: {reason}: {message}", warning=True)
    return None


def is_news(announcement: Announcement, before: Announcement | None, counts: wire.SyncCounts) -> bool:
    """Tell whether to announce this after ``before``: a revision that changed nothing writes no event either."""
    if announcement == before:
        return False
    changed = counts.created or counts.configured or counts.pruned
    return announcement.reason != _SYNCED or bool(changed) or (before is not None and before.warning)


def of_outcomes(outcomes: Iterable[Outcome]) -> Iterator[Announcement]:
    """Yield what to announce of objects that left Git: those that were deleted, and those that wait."""
    pruned: list[Outcome] = []
    waiting: list[Outcome] = []
    for outcome in outcomes:
        if outcome.result is Result.PRUNED and outcome.reason != ALREADY_GONE:
            pruned.append(outcome)
        elif outcome.result is Result.SKIPPED and outcome.reason in _WAITING:
            waiting.append(outcome)
    if pruned:
        yield Announcement("Pruned", f"{_named(pruned)} left Git and {_were(pruned)} deleted")
    if waiting:
        first = waiting[0]
        yield Announcement("PruneWaits", f"{_named(waiting)}: {first.reason}: {first.message}", warning=True)


def _named(outcomes: list[Outcome]) -> str:
    shown = ", ".join(str(one.ref) for one in islice(outcomes, _SHOWN))
    more = f" and {len(outcomes) - _SHOWN} more" if len(outcomes) > _SHOWN else ""
    return f"{shown}{more}"


def _were(outcomes: list[Outcome]) -> str:
    return "was" if len(outcomes) == 1 else "were"
