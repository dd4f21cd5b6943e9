"""What is done about one object that Git wants. Pure; ``plan`` asks it for each, and puts the answers in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Apply, Drift, DriftPolicy, Outcome, Result, Why
from agentk.apply.rules.adopt import NOBODY, refuse_to_apply
from agentk.apply.rules.conflict import force_at_once
from agentk.apply.rules.controllers import left_words
from agentk.apply.rules.done import COMPLETED, WORDS, is_done
from agentk.apply.rules.drift import DRIFTED, describe, drift_of, policy_for
from agentk.apply.rules.recreate import may_recreate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.identity import Identity
    from agentk.apply.model import Desired, Live, ProjectSettings, Recorded

_EXPLAINED: Final = 100
"""Drifted objects of one plan of which it is found out who changed what. That costs a request each, and thousands that
drift at once were changed by one hand."""


def decide_one(
    desired: Desired,
    recorded: Recorded | None,
    live: Live | None,
    settings: ProjectSettings,
    whose: Mapping[str, Identity] = NOBODY,
) -> Apply | Outcome:
    """Return what is to be done, or the outcome where nothing is."""
    refusal = refuse_to_apply(live, recorded, settings, whose)
    if refusal is not None:
        return Outcome(desired.ref, Result.FAILED, desired.path, refusal.reason, refusal.message)
    drift = drift_of(live, recorded, settings) if recorded is not None else None
    filled = desired.ordering is not None and bool(desired.ordering.mutations)
    # With fields from other objects, what was recorded is of the object as it was filled, and only filling it tells.
    applied = recorded.digest if recorded is not None else ""
    same = bool(applied) and (filled or applied == desired.digest.hex())
    policy = policy_for(desired, settings)
    drifted = drift if same and policy is not DriftPolicy.IGNORE else None
    if same and drifted is None and not filled:
        words = (COMPLETED, WORDS) if live is None and is_done(recorded) else left_words(desired)
        return Outcome(desired.ref, Result.UNCHANGED, desired.path, *words)
    if desired.ignore_mutation and live is not None and live.ignore_mutation:
        message = "exists, and stays as it is because its annotations ask for it"
        return Outcome(desired.ref, Result.SKIPPED, desired.path, "MutationIgnored", message)
    if drifted is Drift.MISSING and policy is DriftPolicy.REPORT:
        return Outcome(desired.ref, Result.SKIPPED, desired.path, DRIFTED, describe(drifted))
    known = recorded is not None or live is not None
    why = Why.DRIFTED if drifted is not None else Why.CHANGED if known else Why.NEW
    force = settings.force_conflicts or (desired.traits is not None and desired.traits.force_conflicts)
    rehearse = drifted is not None and policy is DriftPolicy.REPORT
    return Apply(
        desired,
        why,
        force=rehearse or (drifted is not None and force_at_once(live, force_conflicts=force)),
        live_version=None if live is None else live.resource_version,
        settled=applied if same and drifted is None else "",
        migrate=live is not None and live.migrate,
        force_conflicts=force,
        drift=drifted,
        explain=drifted is not None,
        rehearse=rehearse,
        recreate=live.uid if live is not None and may_recreate(desired, settings) else "",
        owner=settings.inventory_id,
        from_secrets=live is not None and live.from_secrets,
    )


def explain_first(applies: Iterable[Apply]) -> list[Apply]:
    """Ask who changed what only for so many objects."""
    left = _EXPLAINED
    decided = []
    for action in applies:
        left -= action.explain
        decided.append(replace(action, explain=False) if action.explain and left < 0 else action)
    return decided
