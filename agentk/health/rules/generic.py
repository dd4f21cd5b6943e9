"""What holds for every kind: deletion, observed generation, and the conditions that controllers agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.health.model import Health, Status, current, failed, in_progress
from agentk.health.rules.fields import conditions, section

if TYPE_CHECKING:
    from collections.abc import Mapping


def before_kind(obj: Mapping[str, object]) -> Health | None:
    """Return the health of an object whose metadata or standard conditions decide it, whatever its kind."""
    decided = before_rules(obj)
    if decided is not None:
        return decided
    known = conditions(obj)
    if (reconciling := known.get("Reconciling")) and reconciling.holds:
        return in_progress(str(reconciling))
    if (stalled := known.get("Stalled")) and stalled.holds:
        return failed(str(stalled))
    return None


def before_rules(obj: Mapping[str, object]) -> Health | None:
    """Return the health of an object that is being deleted, or whose status speaks of an older generation."""
    metadata = section(obj, "metadata")
    if metadata.get("deletionTimestamp"):
        return Health(Status.TERMINATING, _why_terminating(metadata))
    generation = metadata.get("generation")
    observed = section(obj, "status").get("observedGeneration")
    if isinstance(generation, int) and isinstance(observed, int) and observed != generation:
        return in_progress(f"generation {generation} is not observed yet, the latest is {observed}")
    return None


def by_conditions(obj: Mapping[str, object]) -> Health:
    """Judge a kind without a rule of its own by its condition ``Ready``, or ``Available`` where there is no ``Ready``.

    One with neither is current when it exists. kstatus does not know ``Available``, by which many operators say it.
    """
    known = conditions(obj)
    decisive = known.get("Ready") or known.get("Available")
    if decisive is None:
        return current("exists")
    name = decisive.type
    generation = section(obj, "metadata").get("generation")
    if decisive.observed is not None and isinstance(generation, int) and decisive.observed < generation:
        return in_progress(f"{name} is known for generation {decisive.observed} only, not yet for {generation}")
    return current(f"is {name.lower()}") if decisive.holds else in_progress(str(decisive))


def _why_terminating(metadata: Mapping[str, object]) -> str:
    finalizers = metadata.get("finalizers")
    if isinstance(finalizers, list) and finalizers:
        return f"is being deleted; waits for the finalizers {', '.join(map(str, finalizers))}"
    return "is being deleted"
