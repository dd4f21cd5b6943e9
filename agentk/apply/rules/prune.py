"""What becomes of objects that the inventory remembers and Git no longer holds.

Every way out but the last leaves the object alone. Deletes carry the UID that was looked at.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentk.apply.model import InventoryPolicy, Outcome, Prune, Refusal, Result
from agentk.apply.names import OWNING_INVENTORY
from agentk.apply.rules.order import rank_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Live, ProjectSettings, Recorded
    from agentlink.refs import ObjectRef

LARGE: Final = 10
"""A prune of fewer objects is never held for its size."""

LARGE_SHARE: Final = 0.5
"""A prune of more than this share of what the project owns waits for a confirmation."""

_PRECIOUS: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)
"""Kinds whose deletion takes other objects, or data, along."""

_SHOWN: Final = 3
"""Objects that a message names, as many as fit a line."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The decision for all objects that left.

    ``waves`` are deleted one after the other. ``decided`` says of the others why they stay. ``forget`` leave the
    inventory without being deleted by us.
    """

    waves: tuple[tuple[Prune, ...], ...] = ()
    decided: tuple[Outcome, ...] = ()
    forget: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class _Forget:
    """The object leaves the inventory; ``why`` it still exists, None when it does not."""

    why: Refusal | None


def decide(
    left: Sequence[Recorded],
    live: Mapping[ObjectRef, Live],
    settings: ProjectSettings,
    *,
    kinds: Kinds,
    owned: int,
    hold: Refusal | None,
    own_namespace: str,
    confirmed: bool,
) -> Pruning:
    """Decide what becomes of the recorded objects that are no longer desired.

    Args:
        left: The objects, as the inventory remembers them.
        live: What exists.
        settings: The project's.
        kinds: To find how an object is addressed.
        owned: How many objects the inventory remembers in all, of which ``left`` is a share.
        hold: Why nothing at all may be pruned now (the sync is not complete), None when it may.
        own_namespace: Where agentk runs, which is never deleted; empty when it runs outside the cluster.
        confirmed: Whether somebody allowed a large or precious prune.
    """
    if hold is None and not settings.prune:
        hold = Refusal("PruneDisabled", "is no longer in Git, and stays because prune is false")
    if hold is not None:
        return Pruning(decided=tuple(_skipped(one.ref, hold) for one in left))
    prunes: list[Prune] = []
    decided: list[Outcome] = []
    forget: list[ObjectRef] = []
    for one in left:
        match _judge(one, live.get(one.ref), settings, kinds, own_namespace):
            case Prune() as prune:
                prunes.append(prune)
            case Refusal() as refusal:
                decided.append(_skipped(one.ref, refusal))
            case _Forget(why):
                forget.append(one.ref)
                if why is not None:
                    decided.append(_skipped(one.ref, why))
    doubt = None if confirmed else _doubt(prunes, owned)
    if doubt is not None:
        decided.extend(_skipped(prune.ref, doubt) for prune in prunes)
        prunes = []
    return Pruning(_waves(prunes), tuple(decided), tuple(forget))


def _judge(
    recorded: Recorded, live: Live | None, settings: ProjectSettings, kinds: Kinds, own_namespace: str
) -> Prune | Refusal | _Forget:
    ref = recorded.ref
    kind = kinds.find(ref.group, ref.kind, "")
    if kind is None:
        # A kind that is not served may be back in a minute (an aggregated API that is down); its objects still exist.
        return Refusal("UnknownKind", "is no longer in Git, but the cluster does not serve its kind now")
    if live is None:
        return _Forget(None)
    if ref.kind == "Namespace" and not ref.group and ref.name == own_namespace:
        return Refusal("Protected", "is the namespace in which agentk runs, and is never pruned")
    released = _released(recorded, live, settings)
    return _Forget(released) if released is not None else Prune(ref, kind, live.uid, settings.propagation)


def _released(recorded: Recorded, live: Live, settings: ProjectSettings) -> Refusal | None:
    """Return why the object is let go instead of deleted."""
    adopts = settings.inventory_policy is not InventoryPolicy.MUST_MATCH
    if live.owner != settings.inventory_id and not (live.owner is None and adopts):
        whose = f"belongs to inventory {live.owner}" if live.owner else f"has no annotation {OWNING_INVENTORY}"
        return Refusal("NotOurs", f"is no longer in Git, and stays because it {whose}")
    if recorded.uid and recorded.uid != live.uid:
        return Refusal("Recreated", "is no longer in Git, and stays because somebody created it anew")
    if live.keep_on_remove:
        return Refusal("Released", "is no longer in Git, and stays because its annotations ask for it")
    return None


def _doubt(prunes: Sequence[Prune], owned: int) -> Refusal | None:
    precious = sorted(str(prune.ref) for prune in prunes if (prune.ref.group, prune.ref.kind) in _PRECIOUS)
    if precious:
        more = f" and {len(precious) - _SHOWN} more" if len(precious) > _SHOWN else ""
        return _unconfirmed(f"this prune would delete {', '.join(precious[:_SHOWN])}{more}")
    if len(prunes) >= LARGE and len(prunes) > owned * LARGE_SHARE:
        return _unconfirmed(f"this prune would delete {len(prunes)} of the project's {owned} objects")
    return None


def _unconfirmed(what: str) -> Refusal:
    return Refusal("PruneNeedsConfirmation", f"is no longer in Git, and waits for a confirmation: {what}")


def _waves(prunes: Iterable[Prune]) -> tuple[tuple[Prune, ...], ...]:
    ranked: defaultdict[int, list[Prune]] = defaultdict(list)
    for prune in prunes:
        ranked[rank_of(prune.kind)].append(prune)
    return tuple(tuple(ranked[rank]) for rank in sorted(ranked, reverse=True))


def _skipped(ref: ObjectRef, why: Refusal) -> Outcome:
    return Outcome(ref, Result.SKIPPED, reason=why.reason, message=why.message)
