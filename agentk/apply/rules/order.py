"""In what order objects of different kinds are applied, and in the reverse of it pruned."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentk.apply.model import Kind


class Rank(IntEnum):
    """The stages of an apply. All objects of a rank are applied before any of the next."""

    NAMESPACES = 0
    DEFINITIONS = 1
    CLUSTER = 2
    """What holds for every object after it, and what objects refer to by name: classes, quotas, limits."""
    STORAGE = 3
    CONFIGURATION = 4
    RBAC = 5
    SERVICES = 6
    WORKLOADS = 7
    """Everything that has no rank of its own, custom resources among it."""
    INTERCEPTORS = 8
    """What acts on requests to the API server. Before its backend runs it could refuse all the others."""


_ADMISSION: Final = "admissionregistration.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"

_RANKS: Final = {
    (group, kind): rank
    for rank, group, kinds in (
        (Rank.NAMESPACES, "", ("Namespace",)),
        (Rank.DEFINITIONS, "apiextensions.k8s.io", ("CustomResourceDefinition",)),
        (Rank.CLUSTER, "scheduling.k8s.io", ("PriorityClass",)),
        (Rank.CLUSTER, "node.k8s.io", ("RuntimeClass",)),
        (Rank.CLUSTER, "networking.k8s.io", ("IngressClass",)),
        (Rank.CLUSTER, "gateway.networking.k8s.io", ("GatewayClass",)),
        (Rank.CLUSTER, "resource.k8s.io", ("DeviceClass",)),
        (Rank.CLUSTER, "flowcontrol.apiserver.k8s.io", ("FlowSchema", "PriorityLevelConfiguration")),
        (Rank.CLUSTER, "", ("ResourceQuota", "LimitRange")),
        (Rank.STORAGE, "storage.k8s.io", ("StorageClass", "CSIDriver", "VolumeAttributesClass")),
        (Rank.STORAGE, "snapshot.storage.k8s.io", ("VolumeSnapshotClass",)),
        (Rank.STORAGE, "", ("PersistentVolume", "PersistentVolumeClaim")),
        (Rank.CONFIGURATION, "", ("ServiceAccount", "Secret", "ConfigMap")),
        (Rank.RBAC, _RBAC, ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")),
        (Rank.SERVICES, "", ("Service", "Endpoints")),
        (Rank.SERVICES, "discovery.k8s.io", ("EndpointSlice",)),
        (Rank.SERVICES, "networking.k8s.io", ("NetworkPolicy",)),
        (Rank.INTERCEPTORS, _ADMISSION, ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")),
        (Rank.INTERCEPTORS, "apiregistration.k8s.io", ("APIService",)),
    )
    for kind in kinds
}


def rank_of(kind: Kind) -> Rank:
    """Return the stage that objects of a kind belong to."""
    return _RANKS.get((kind.group, kind.kind), Rank.WORKLOADS)
