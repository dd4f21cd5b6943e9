"""What turning live into desired takes, decided before anything is done. Pure, deterministic, no clock.

Each decision is a rule of its own under ``rules``; here they are put in sequence. Carrying the plan out is ``execute``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Apply, DryRun, Outcome, Plan, Refusal, Result, Stage, Why
from agentk.apply.rules import prune
from agentk.apply.rules.adopt import refuse_to_apply
from agentk.apply.rules.conflict import force_at_once
from agentk.apply.rules.drift import drift_of
from agentk.apply.rules.order import Rank, position_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Desired, Live, ProjectSettings, Recorded
    from agentk.apply.resolve import Resolved
    from agentlink.refs import ObjectRef

_EMPTY: Final = Refusal(
    "EmptySnapshot",
    "stays because the revision holds no object at all, which is taken for a mistake; nothing is pruned",
)
_INCOMPLETE: Final = Refusal(
    "PruneWaits", "is no longer in Git, and stays until every object of the revision can be applied"
)


def plan(
    resolved: Resolved,
    recorded: Mapping[ObjectRef, Recorded],
    live: Mapping[ObjectRef, Live],
    settings: ProjectSettings,
    *,
    kinds: Kinds,
    own_namespace: str = "",
    prune_confirmed: bool = False,
) -> Plan:
    """Decide everything that one sync does.

    Args:
        resolved: The objects that Git wants.
        recorded: The inventory.
        live: What exists, of all desired and all recorded objects. An object missing here is taken as missing in the
            cluster.
        settings: The project's.
        kinds: What the cluster serves, to address objects that left Git.
        own_namespace: Where agentk runs; never pruned.
        prune_confirmed: Somebody allowed what would otherwise wait for a confirmation.
    """
    if resolved.blocked is not None:
        return Plan(decided=resolved.refused, total=len(resolved.refused) + 1, blocked=resolved.blocked)
    applies: list[Apply] = []
    decided = list(resolved.refused)
    for desired in resolved.desired:
        action = _action(desired, recorded.get(desired.ref), live.get(desired.ref), settings)
        if isinstance(action, Apply):
            applies.append(action)
        else:
            decided.append(action)
    complete = not any(outcome.result is Result.FAILED for outcome in decided)
    wanted = {desired.ref for desired in resolved.desired}
    wanted.update(_may_mean(resolved.refused, settings))
    left = [one for ref, one in recorded.items() if ref not in wanted]
    pruning = prune.decide(
        left,
        live,
        settings,
        kinds=kinds,
        owned=len(recorded),
        hold=_EMPTY if resolved.empty else None if complete else _INCOMPLETE,
        own_namespace=own_namespace,
        confirmed=prune_confirmed,
    )
    decided += pruning.decided
    pruned = sum(len(wave) for wave in pruning.waves)
    rehearsal = settings.dry_run is not DryRun.NONE
    return Plan(
        stages=_stages(applies),
        prunes=pruning.waves,
        decided=tuple(decided),
        record=None if rehearsal else _record(recorded, applies),
        forget=() if rehearsal else pruning.forget,
        total=len(applies) + len(decided) + pruned,
        dry_run=settings.dry_run,
    )


def _action(
    desired: Desired, recorded: Recorded | None, live: Live | None, settings: ProjectSettings
) -> Apply | Outcome:
    refusal = refuse_to_apply(live, recorded, settings)
    if refusal is not None:
        return Outcome(desired.ref, Result.FAILED, desired.path, refusal.reason, refusal.message)
    drift = drift_of(live, recorded, settings) if recorded is not None else None
    same = recorded is not None and recorded.digest == desired.digest
    if same and drift is None:
        return Outcome(desired.ref, Result.UNCHANGED, desired.path)
    if desired.ignore_mutation and live is not None and live.ignore_mutation:
        message = "exists, and stays as it is because its annotations ask for it"
        return Outcome(desired.ref, Result.SKIPPED, desired.path, "MutationIgnored", message)
    why = Why.DRIFTED if same else Why.CHANGED if recorded is not None or live is not None else Why.NEW
    return Apply(
        desired,
        why,
        force=why is Why.DRIFTED and force_at_once(live),
        live_version=None if live is None else live.resource_version,
    )


def _may_mean(refused: Sequence[Outcome], settings: ProjectSettings) -> Iterator[ObjectRef]:
    """Yield what refused manifests stand for; of an unknown kind nobody knows whether it is namespaced."""
    for outcome in refused:
        yield outcome.ref
        if not outcome.ref.namespace:
            yield replace(outcome.ref, namespace=settings.default_namespace)


def _stages(applies: Sequence[Apply]) -> tuple[Stage, ...]:
    new = frozenset(kind for action in applies for kind in action.desired.defines)
    positions: dict[int, tuple[Rank, int]] = {}

    def position(action: Apply) -> tuple[Rank, int]:
        # Kinds are few and objects many; objects of one kind share it, or nearly so.
        kind = action.desired.kind
        found = positions.get(id(kind))
        if found is None:
            found = positions[id(kind)] = position_of(kind, new)
        return found

    ranked = [
        (rank, tuple(group))
        for rank, group in groupby(sorted(applies, key=position), key=lambda action: position(action)[0])
    ]
    needed = {action.desired.kind for rank, actions in ranked if rank is Rank.NEW_KINDS for action in actions}
    return tuple(
        Stage(actions, tuple(sorted(needed, key=str)) if following is Rank.NEW_KINDS else ())
        for (_, actions), (following, _) in zip(ranked, [*ranked[1:], (None, ())], strict=False)
    )


def _record(recorded: Mapping[ObjectRef, Recorded], applies: Sequence[Apply]) -> tuple[ObjectRef, ...] | None:
    new = tuple(action.desired.ref for action in applies if action.desired.ref not in recorded)
    return (*recorded, *new) if new else None
