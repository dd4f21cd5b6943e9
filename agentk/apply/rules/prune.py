"""What becomes of objects that the inventory remembers and Git no longer holds.

Every way out but the last leaves the object alone. Deletes carry the UID that was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentk.apply import deletion
from agentk.apply.model import Outcome, Prune, PruneConfirmation, Refusal, Release, Result
from agentk.apply.names import OWNING_INVENTORY
from agentk.apply.rules.confine import refuse_place
from agentk.apply.rules.in_use import staying
from agentk.apply.rules.own import refuse_own
from agentk.apply.rules.own_inventory import is_inventory
from agentk.apply.rules.selection import told
from agentk.apply.rules.vanished import gone_definitions, went_along

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Desired, Live, ProjectSettings, Recorded
    from agentk.apply.rules.own import OwnObjects
    from agentlink.refs import ObjectRef

LARGE: Final = 10
"""A prune of fewer objects is never held for its size."""

ALREADY_GONE: Final = "AlreadyGone"
"""The reason of an object that counts as pruned although nobody here deleted it."""

_PRECIOUS: Final = frozenset(
    {
        ("", "Namespace"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)
"""Kinds whose deletion takes other objects along, so that a prune with one waits as a whole."""

_VOLUME: Final = ("", "PersistentVolumeClaim")

_GONE: Final = "is no longer in the manifests, and was gone from the cluster already"
_NOT_SERVED: Final = Refusal(
    "UnknownKind",
    "is no longer in the manifests, but the cluster does not serve its kind now; it is deleted when that is back; if"
    " the kind's definition is gone for good, so is the object, and its entry can be taken out of the inventory",
)
_DISABLED: Final = Refusal("PruneDisabled", "is no longer in the manifests, and stays because prune is false")

NEVER: Final[Mapping[tuple[str, str], str]] = MappingProxyType({})
"""No kind that was served once."""

_SHOWN: Final = 3
"""Objects that a message names, as many as fit a line."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The decision for all objects that left.

    ``waves`` are deleted one after the other. ``releases`` stay and are let go. ``decided`` says of the others why they
    stay, or that they are gone. ``forget`` leave the inventory without anything being done.
    """

    waves: tuple[tuple[Prune, ...], ...] = ()
    releases: tuple[Release, ...] = ()
    decided: tuple[Outcome, ...] = ()
    forget: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class _Forget:
    """The object leaves the inventory; ``why`` it still exists."""

    why: Refusal


@dataclass(frozen=True, slots=True)
class _Gone:
    """The object leaves the inventory because it does not exist any more."""


def decide(
    left: Sequence[Recorded],
    live: Mapping[ObjectRef, Live],
    settings: ProjectSettings,
    *,
    kinds: Kinds,
    owned: int,
    hold: Refusal | None,
    own: OwnObjects,
    confirmed: bool,
    desired: Iterable[Desired] = (),
    others: Iterable[Live] = (),
    former: Mapping[tuple[str, str], str] = NEVER,
    changed: Sequence[str] = (),
) -> Pruning:
    """Decide what becomes of the recorded objects that are no longer desired.

    Args:
        left: The objects, as the inventory remembers them.
        live: What exists.
        settings: The project's.
        kinds: To find how an object is addressed.
        owned: How many objects the inventory remembers in all, of which ``left`` is a share.
        hold: Why nothing at all may be pruned now (the sync is not complete), None when it may.
        own: What agentk itself stands on, which is never deleted.
        confirmed: Whether somebody allowed what would otherwise wait.
        desired: What Git wants.
        others: Objects of other projects, as far as they are known.
        former: The plurals of kinds that were served once and are no more, by (group, kind).
        changed: Keys of ``config.yaml`` that select the objects, and say something else than when they were applied.
    """
    if hold is not None:
        return Pruning(decided=tuple(_skipped(one.ref, hold) for one in left))
    definitions = gone_definitions((one.ref for one in left), live)
    judged = {
        one.ref: _judge(one, live.get(one.ref), settings, kinds, own)
        if kinds.find(one.ref.group, one.ref.kind, "")
        or not went_along(one.ref, definitions, former.get((one.ref.group, one.ref.kind), ""))
        else _Gone()
        for one in left
    }
    gone = tuple(ref for ref, verdict in judged.items() if isinstance(verdict, _Gone))
    told = tuple(Outcome(ref, Result.PRUNED, reason=ALREADY_GONE, message=_GONE) for ref in gone)
    if not settings.prune:
        stays = (_skipped(ref, _DISABLED) for ref, verdict in judged.items() if not isinstance(verdict, _Gone))
        return Pruning(decided=(*told, *stays), forget=gone)
    prunes = {ref: verdict for ref, verdict in judged.items() if isinstance(verdict, Prune)}
    stay: dict[ObjectRef, Refusal] = {}
    for ref, verdict in judged.items():
        why = verdict.why if isinstance(verdict, _Forget) else verdict
        if isinstance(why, Refusal):
            stay[ref] = why
    if not confirmed and settings.prune_confirmation is not PruneConfirmation.NEVER:
        # Its data is lost with it, and nothing else is: only it waits.
        volumes = [ref for ref in prunes if (ref.group, ref.kind) == _VOLUME]
        stay |= dict.fromkeys(volumes, _unconfirmed("the data of a PersistentVolumeClaim is lost with it"))
        prunes = {ref: prune for ref, prune in prunes.items() if ref not in stay}
    kept = [ref for ref, verdict in judged.items() if ref in stay or isinstance(verdict, Release)]
    stay |= staying(prunes, kept, live, desired=desired, others=others, kinds=kinds) if prunes else {}
    prunes = {ref: prune for ref, prune in prunes.items() if ref not in stay}
    doubt = None if confirmed else _doubt(prunes.values(), owned, settings, changed)
    if doubt is not None:
        stay |= dict.fromkeys(prunes, doubt)
        prunes = {}
    return Pruning(
        deletion.waves(tuple(prunes.values()), live),
        tuple(verdict for verdict in judged.values() if isinstance(verdict, Release)),
        (*told, *(_skipped(ref, why) for ref, why in stay.items())),
        (*gone, *(ref for ref, verdict in judged.items() if isinstance(verdict, _Forget))),
    )


def _judge(
    recorded: Recorded, live: Live | None, settings: ProjectSettings, kinds: Kinds, own: OwnObjects
) -> Prune | Release | Refusal | _Forget | _Gone:
    ref = recorded.ref
    kind = kinds.find(ref.group, ref.kind, "")
    if kind is None:
        # A kind that is not served may be back in a minute (an aggregated API that is down); its objects still exist.
        return _NOT_SERVED
    if live is None:
        return _Gone()
    stays = _stays(recorded, live, settings, own)
    if stays is not None:
        return stays
    if live.keep_on_remove:
        return Release(
            ref,
            kind,
            live.uid,
            settings.inventory_id,
            "is no longer in the manifests, and stays because its annotations ask for it",
        )
    return Prune(ref, kind, live.uid, settings.propagation, settings.inventory_id, live.resource_version)


def _stays(recorded: Recorded, live: Live, settings: ProjectSettings, own: OwnObjects) -> Refusal | _Forget | None:
    """Return why an object is neither deleted nor let go."""
    protected = _protected(recorded.ref, settings, own)
    if protected is not None:
        return protected
    foreign = _foreign(recorded, live, settings)
    if foreign is not None:
        return _Forget(foreign)
    outside = refuse_place(recorded.ref, settings.allowed_namespaces)
    if outside is not None:
        return Refusal(outside.reason, f"is no longer in the manifests, and stays: it {outside.message}")
    return None


def _protected(ref: ObjectRef, settings: ProjectSettings, own: OwnObjects) -> Refusal | None:
    """Return why an object is not deleted, whoever says so."""
    refusal = refuse_own(ref, own)
    if refusal is not None:
        return Refusal(refusal.reason, f"is no longer in the manifests, and stays: it {refusal.message}")
    if ref.kind == "Namespace" and not ref.group and ref.name == settings.inventory_home:
        return Refusal("Protected", "is no longer in the manifests, and stays because the inventory is kept in it")
    return None


def _foreign(recorded: Recorded, live: Live, settings: ProjectSettings) -> Refusal | None:
    """Return why the object is not ours to delete. An inventory is a claim: only the object itself says whose it is."""
    if is_inventory(recorded.ref, settings.inventory_id):
        return Refusal("InventoryRefused", "is an inventory, which agentk never deletes")
    if live.owner != settings.inventory_id:
        whose = f"belongs to inventory {live.owner}" if live.owner else f"has no annotation {OWNING_INVENTORY}"
        return Refusal("NotOurs", f"is no longer in the manifests, and stays because it {whose}")
    if recorded.uid and recorded.uid != live.uid:
        return Refusal("Recreated", "is no longer in the manifests, and stays because somebody created it anew")
    return None


def _doubt(prunes: Collection[Prune], owned: int, settings: ProjectSettings, changed: Sequence[str]) -> Refusal | None:
    if not prunes or settings.prune_confirmation is PruneConfirmation.NEVER:
        return None
    precious = sorted(str(prune.ref) for prune in prunes if (prune.ref.group, prune.ref.kind) in _PRECIOUS)
    if precious:
        more = f" and {len(precious) - _SHOWN} more" if len(precious) > _SHOWN else ""
        return _unconfirmed(f"this prune would delete {', '.join(precious[:_SHOWN])}{more}")
    if changed:
        return _unconfirmed(f"{told(changed)}, and this prune would delete {len(prunes)} of {owned} objects")
    large = len(prunes) >= LARGE and len(prunes) * 100 > owned * settings.prune_large_percent
    if large or settings.prune_confirmation is PruneConfirmation.ALWAYS:
        return _unconfirmed(f"this prune would delete {len(prunes)} of {owned} objects")
    return None


def _unconfirmed(what: str) -> Refusal:
    return Refusal("PruneNeedsConfirmation", f"is no longer in the manifests, and waits for a confirmation: {what}")


def _skipped(ref: ObjectRef, why: Refusal) -> Outcome:
    return Outcome(ref, Result.SKIPPED, reason=why.reason, message=why.message)
