"""What holds for every kind: deletion, observed generation, and the conditions that controllers agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.health.model import Health, Status, current, failed, in_progress
from agentk.health.rules.fields import conditions, section

if TYPE_CHECKING:
    from collections.abc import Mapping


def before_kind(obj: Mapping[str, object]) -> Health | None:
    """Return the health of an object whose metadata or standard conditions decide it, whatever its kind."""
    metadata = section(obj, "metadata")
    if metadata.get("deletionTimestamp"):
        return Health(Status.TERMINATING, _why_terminating(metadata))
    generation = metadata.get("generation")
    observed = section(obj, "status").get("observedGeneration")
    if isinstance(generation, int) and isinstance(observed, int) and observed != generation:
        return in_progress(f"generation {generation} is not observed yet, the latest is {observed}")
    known = conditions(obj)
    if (reconciling := known.get("Reconciling")) and reconciling.holds:
        return in_progress(str(reconciling))
    if (stalled := known.get("Stalled")) and stalled.holds:
        return failed(str(stalled))
    return None


def by_conditions(obj: Mapping[str, object]) -> Health:
    """Judge a kind without a rule of its own by its ``Ready`` condition; one without that is current when it exists."""
    ready = conditions(obj).get("Ready")
    if ready is None:
        return current("exists")
    generation = section(obj, "metadata").get("generation")
    if ready.observed is not None and isinstance(generation, int) and ready.observed < generation:
        return in_progress(f"Ready is known for generation {ready.observed} only, not yet for {generation}")
    return current("is ready") if ready.holds else in_progress(str(ready))


def _why_terminating(metadata: Mapping[str, object]) -> str:
    finalizers = metadata.get("finalizers")
    if isinstance(finalizers, list) and finalizers:
        return f"is being deleted; waits for the finalizers {', '.join(map(str, finalizers))}"
    return "is being deleted"
