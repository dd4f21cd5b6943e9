"""What cannot be changed in place: said clearly, and deleted and created again where somebody asked for that.

Never what holds data or takes other objects along: there a person decides. Custom resources may stand for anything, a
database included, so for them the project's word is not enough; the object itself must ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Refusal
from agentk.apply.names import OWNING_INVENTORY, RECREATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.model import Desired, ProjectSettings
    from agentlink.refs import ObjectRef

RECREATED: Final = "Recreated"
"""The reason of an object that was deleted and created again."""

_STATEFUL_SET: Final = ("apps", "StatefulSet")

NEVER: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        _STATEFUL_SET,
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
        ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
    }
)
"""Kinds whose deletion takes data or other objects along."""

_OWN_GROUPS: Final = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})
_OWN_SUFFIX: Final = ".k8s.io"


def may_recreate(desired: Desired, settings: ProjectSettings) -> bool:
    """Tell whether an object may be deleted and created again if it cannot be changed."""
    asked = desired.traits is not None and desired.traits.recreate
    if (desired.ref.group, desired.ref.kind) in NEVER:
        return False
    return asked or (settings.recreate and _is_built_in(desired.ref))


def refuse_change(ref: ObjectRef, immutable: Sequence[str]) -> Refusal:
    """Return the error of an object that cannot be changed in place, and may not be recreated.

    Args:
        ref: The object.
        immutable: What the server does not let be changed, as ``spec.selector: field is immutable``.
    """
    what = "; ".join(immutable)
    if (ref.group, ref.kind) == _STATEFUL_SET:
        remedy = (
            "agentk never deletes a StatefulSet to create it again; take the change back, or delete it without its "
            f"pods and volumes (`kubectl --namespace {ref.namespace} delete statefulset {ref.name} --cascade=orphan`), "
            "and agentk creates it as Git has it"
        )
    elif (ref.group, ref.kind) in NEVER:
        remedy = (
            f"agentk never deletes a {ref.kind} to create it again, because data or other objects would go with it; "
            "take the change back, or delete the object yourself"
        )
    else:
        for_all = "set recreate: true (agentk apply: --recreate), or " if _is_built_in(ref) else ""
        remedy = (
            f'to have it deleted and created again {for_all}annotate it with {RECREATE}: "true"; '
            "or take the change back, or give the object another name"
        )
    return Refusal("ImmutableField", f"cannot be changed in place: {what}; {remedy}")


def refuse_strangers(immutable: Sequence[str], owner: str) -> Refusal:
    """Return the error of an object that cannot be changed in place, and is not the project's to delete.

    Args:
        immutable: What the server does not let be changed.
        owner: The project's inventory.
    """
    return Refusal(
        "ImmutableField",
        f"cannot be changed in place: {'; '.join(immutable)}; and it is not deleted to be created again, because it"
        f" does not belong to the project yet; annotate it with {OWNING_INVENTORY}={owner} if it is meant to, or delete"
        " it yourself",
    )


def _is_built_in(ref: ObjectRef) -> bool:
    return ref.group in _OWN_GROUPS or ref.group.endswith(_OWN_SUFFIX)
