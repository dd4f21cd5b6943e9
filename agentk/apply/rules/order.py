"""In what order objects are applied, and in the reverse of it pruned."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentk.apply.model import Kind


class Rank(IntEnum):
    """The stages of an apply. All objects of a rank are applied before any of the next."""

    NAMESPACES = 0
    DEFINITIONS = 1
    OBJECTS = 2
    NEW_KINDS = 3
    """Custom resources whose CRD is part of the same plan: it becomes served while the other objects are applied."""
    INTERCEPTORS = 4
    """What acts on requests to the API server. Before its backend runs it could refuse all the others."""


_INTERCEPTORS: Final = frozenset(
    {
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiregistration.k8s.io", "APIService"),
    }
)

_EARLY: Final = {
    kind: position
    for position, kinds in enumerate(
        (
            ("PriorityClass", "RuntimeClass", "StorageClass", "IngressClass", "ResourceQuota", "LimitRange"),
            ("ServiceAccount", "Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim"),
            ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
            ("Service", "NetworkPolicy"),
        )
    )
    for kind in kinds
}
"""Kinds that others of the same stage look for as soon as they exist, by when they start within the stage."""

_LATE: Final = len(_EARLY)


def rank_of(kind: Kind) -> Rank:
    """Return the stage that objects of a kind belong to."""
    if kind.kind == "Namespace" and not kind.group:
        return Rank.NAMESPACES
    if kind.kind == "CustomResourceDefinition" and kind.group == "apiextensions.k8s.io":
        return Rank.DEFINITIONS
    if (kind.group, kind.kind) in _INTERCEPTORS:
        return Rank.INTERCEPTORS
    return Rank.OBJECTS


def position_of(kind: Kind, new: Collection[Kind] = ()) -> tuple[Rank, int]:
    """Return what to sort by: the stage, and within it who starts first. ``new`` kinds are defined by the same plan.

    Within a stage nobody waits for anybody; starting a ServiceAccount before the Pods that use it only saves their
    controllers a retry.
    """
    return Rank.NEW_KINDS if kind in new else rank_of(kind), _EARLY.get(kind.kind, _LATE)
