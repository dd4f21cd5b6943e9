"""Whose replicas an autoscaler sets. They are left to it for as long as there is one; then Git decides again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentlink.refs import ObjectRef, group_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.model import Desired

GROUP: Final = "autoscaling"
KIND: Final = "HorizontalPodAutoscaler"
REPLICAS: Final = "/spec/replicas"

_SCALABLE: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})
_BUILT_IN: Final = frozenset({"", "apps"})


def scaled_by(ref: ObjectRef, manifest: Mapping[str, object]) -> ObjectRef | None:
    """Return what an object scales, None if it is no autoscaler.

    What is not written as it should be scales nothing; the API server says what is wrong with it.
    """
    if ref.kind != KIND or ref.group != GROUP:
        return None
    match manifest.get("spec"):
        case {"scaleTargetRef": {"kind": str(kind), "name": str(name)} as target}:
            return ObjectRef(group_of(str(target.get("apiVersion") or "")), kind, ref.namespace, name)
        case _:
            return None


def may_be_scaled(group: str, kind: str) -> bool:
    """Tell whether it is worth knowing the cluster's autoscalers for objects of this kind.

    Any kind may have a scale of its own; of custom ones nobody but the server can tell, so they count.
    """
    if group in _BUILT_IN:
        return kind in _SCALABLE
    return "." in group and not group.endswith(".k8s.io")


def autoscaled(desired: Desired) -> tuple[str, str]:
    """Return the reason and message of an object whose replicas are left to an autoscaler, both empty for others."""
    if desired.traits is None or not desired.traits.scaler:
        return "", ""
    return "Autoscaled", f"its replicas are left to {desired.traits.scaler}, which scales it"
