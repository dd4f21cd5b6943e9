"""What turning live into desired takes, decided before anything is done. Pure, deterministic, no clock.

Each decision is a rule of its own under ``rules``; here they are put in sequence. Carrying the plan out is ``execute``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply import staging
from agentk.apply.deciding import decide_one, explain_first
from agentk.apply.model import Apply, DryRun, Outcome, Plan, Refusal, Result
from agentk.apply.rules import prune
from agentk.apply.rules.adopt import NOBODY
from agentk.apply.rules.own import NOTHING_OWN
from agentk.apply.rules.unproven import hold, is_doubtful

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentk.apply.identity import Identity
    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Live, ProjectSettings, Recorded
    from agentk.apply.resolve import Resolved
    from agentlink.refs import ObjectRef

_EMPTY: Final = Refusal(
    "EmptySnapshot",
    "stays because the revision holds no object at all, which is taken for a mistake; nothing is pruned",
)
_INCOMPLETE: Final = Refusal("PruneWaits", "is no longer in the manifests, and stays until every object can be applied")


def plan(
    resolved: Resolved,
    recorded: Mapping[ObjectRef, Recorded],
    live: Mapping[ObjectRef, Live],
    settings: ProjectSettings,
    *,
    kinds: Kinds,
    prune_confirmed: bool = False,
    others: Iterable[Live] = (),
    former: Mapping[tuple[str, str], str] = prune.NEVER,
    unproven: ObjectRef | None = None,
    whose: Mapping[str, Identity] = NOBODY,
    changed: Sequence[str] = (),
) -> Plan:
    """Decide everything that one sync does.

    Args:
        resolved: The objects that Git wants.
        recorded: The inventory.
        live: What exists, of all desired and all recorded objects and all that they depend on. An object missing here
            is taken as missing in the cluster.
        settings: The project's.
        kinds: What the cluster serves, to address objects that left Git.
        prune_confirmed: Somebody allowed what would otherwise wait for a confirmation.
        others: Objects of other projects, as far as they are known: what they need is not pruned.
        former: The plurals of kinds that were served once and are no more, by (group, kind).
        unproven: Where the inventory is, if it does not say that it is the project's.
        whose: Other inventories by id, as far as they are known.
        changed: Keys of ``config.yaml`` that select the objects, and say something else than when they were applied.
    """
    if resolved.blocked is not None:
        return Plan(decided=resolved.refused, total=len(resolved.refused) + 1, blocked=resolved.blocked)
    doubtful = False
    if unproven is not None and not prune_confirmed:
        in_git = (*(one.ref for one in resolved.desired), *_may_mean(resolved.refused, settings))
        doubtful = is_doubtful(recorded, in_git)
        if doubtful and not resolved.empty:
            said, why = hold(tuple(recorded.values()), unproven, settings)
            said = (*resolved.refused, *said)
            return Plan(decided=said, total=len(said) + 1, blocked=why, proven=False)
    applies: list[Apply] = []
    decided = list(resolved.refused)
    cycles = staging.cycles(resolved.desired)
    for desired in resolved.desired:
        action: Apply | Outcome
        if cycles and (cycle := cycles.get(desired.ref)) is not None:
            action = Outcome(desired.ref, Result.FAILED, desired.path, cycle.reason, cycle.message)
        else:
            action = decide_one(desired, recorded.get(desired.ref), live.get(desired.ref), settings, whose)
        if isinstance(action, Apply):
            applies.append(action)
        else:
            decided.append(action)
    broken = {outcome.ref for outcome in decided if outcome.result is Result.FAILED}
    meant = set(_may_mean(resolved.refused, settings))
    broken |= meant
    by_ref = {desired.ref: desired for desired in resolved.desired}
    # A Namespace that is refused (agentk's own, one that may not be looked at) may well exist; the server knows.
    homes = {outcome.ref for outcome in resolved.refused if outcome.ref.kind == "Namespace"}
    there = live.keys() | homes if homes else live.keys()
    staged = staging.stage(explain_first(applies), by_ref, broken, there, kinds)
    decided += staged.decided
    if staged.decided:
        refused = {outcome.ref for outcome in staged.decided}
        applies = [action for action in applies if action.desired.ref not in refused]
    complete = not staged.decided and not any(outcome.result is Result.FAILED for outcome in decided)
    left = [recorded[ref] for ref in recorded if ref not in by_ref and ref not in meant]
    pruning = prune.decide(
        left,
        live,
        settings,
        kinds=kinds,
        owned=len(recorded),
        hold=_EMPTY if resolved.empty else None if complete else _INCOMPLETE,
        own=resolved.basis.bounds.own if resolved.basis is not None else NOTHING_OWN,
        confirmed=prune_confirmed,
        desired=resolved.desired,
        others=others,
        former=former,
        changed=changed,
    )
    decided += pruning.decided
    pruned = sum(len(wave) for wave in pruning.waves)
    rehearsal = settings.dry_run is not DryRun.NONE
    return Plan(
        stages=staged.stages,
        prunes=pruning.waves,
        releases=pruning.releases,
        decided=tuple(decided),
        record=None if rehearsal else _record(recorded, applies),
        forget=() if rehearsal else pruning.forget,
        proven=not doubtful,
        total=len(applies) + len(decided) + pruned + len(pruning.releases),
        dry_run=settings.dry_run,
        reconcile_timeout=settings.reconcile_timeout,
        prune_timeout=settings.prune_timeout,
        body_of=resolved.body_of,
        bounds=resolved.basis.bounds if resolved.basis is not None else None,
        hidden=frozenset(one.ref for one in left if (there_now := live.get(one.ref)) and there_now.from_secrets),
    )


def _may_mean(refused: Sequence[Outcome], settings: ProjectSettings) -> Iterator[ObjectRef]:
    """Yield what refused manifests stand for; of an unknown kind nobody knows whether it is namespaced."""
    for outcome in refused:
        yield outcome.ref
        if not outcome.ref.namespace:
            yield outcome.ref._replace(namespace=settings.default_namespace)


def _record(recorded: Mapping[ObjectRef, Recorded], applies: Sequence[Apply]) -> tuple[ObjectRef, ...] | None:
    new = tuple(action.desired.ref for action in applies if action.desired.ref not in recorded)
    return (*recorded, *new) if new else None
