"""How a sync went: what is left to be done, and what people are asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentk.apply.model import DryRun, Result
from agentk.gitops.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agentk.apply.model import Outcome, ProjectSettings
    from agentlink.refs import ObjectRef

_SETTLED = frozenset({Result.CREATED, Result.CONFIGURED, Result.UNCHANGED, Result.PRUNED})
"""After which an object is as Git wants it."""

_STOPPED = frozenset({"DependencyFailed", "DependencyTimeout"})
"""Reasons of objects that were skipped because of another one."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """How a sync went: the outcomes, and the refusal when nothing could be done at all.

    ``untouched`` counts objects without an outcome: nothing about them changed in Git or in the cluster.
    """

    outcomes: Outcomes = field(default_factory=Outcomes)
    blocked: Outcome | None = None
    untouched: int = 0

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the outcomes that are failures, and after them the objects that wait for one that is not healthy."""
        failed = tuple(outcome for outcome in self.outcomes.said if outcome.result is Result.FAILED)
        return failed + tuple(outcome for outcome in self.outcomes.said if outcome.reason in _STOPPED)

    @property
    def settled(self) -> bool:
        """Whether every object is as Git wants it, without any reservation."""
        return self.blocked is None and self.outcomes.results.keys() <= _SETTLED

    @property
    def superseded(self) -> bool:
        """Whether objects were left waiting because ``ProjectSync.interrupt`` was called."""
        return any(outcome.reason == "Superseded" for outcome in self.outcomes.said)


_EXPECTED_SKIPS: Final = frozenset({"MutationIgnored", "Released", "PruneDisabled"})
"""Skips that the configuration or an annotation asked for."""

PRUNE_WAITS = "PruneNeedsConfirmation"
"""The reason of objects that left Git and are deleted once somebody has confirmed it."""


def unconfirmed(outcomes: Iterable[Outcome]) -> frozenset[ObjectRef]:
    """Return the objects that left Git and wait for somebody to confirm that they are deleted."""
    return frozenset(outcome.ref for outcome in outcomes if outcome.reason == PRUNE_WAITS)


def has_stripped(result: SyncResult, vanished: Collection[ObjectRef]) -> bool:
    """Tell whether an object was out of sight and still there: it had lost our label, as GitLab's agentk has it."""
    return any(one.ref in vanished and one.result is Result.CONFIGURED for one in result.outcomes)


def note_of(settings: ProjectSettings, result: SyncResult, strays: str) -> tuple[str, str]:
    """Return the reason and message of a sync that ended well, but about which there is something to say."""
    if settings.dry_run is not DryRun.NONE:
        return "DryRun", f"dry_run_strategy is {settings.dry_run.value}: nothing was changed"
    skipped = (one for one in result.outcomes.said if one.result is Result.SKIPPED)
    skipped = (one for one in skipped if one.reason not in _EXPECTED_SKIPS)
    # What waits for somebody comes first: it is what the state is about.
    if first := min(skipped, key=lambda one: one.reason != PRUNE_WAITS, default=None):
        return first.reason, f"{first.ref} {first.message}"
    return ("InventoryElsewhere", strays) if strays else ("", "")
