"""How well one object is, after kstatus (kubernetes-sigs/cli-utils). Pure: the object goes in, its health comes out.

A kind with a rule of its own has it in the module of its group; everything else is judged by what controllers agree
on; a project's own rules (``custom.py``) go before both. Who has objects judged is ``agentk.health.judge``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.health.model import Health, Status
from agentk.health.rules import others, pods, workloads
from agentk.health.rules.custom import rule_for
from agentk.health.rules.fields import text
from agentk.health.rules.generic import before_kind, by_conditions
from agentlink.refs import group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentk.apply.model import HealthRule, Kind

__all__ = ["Health", "Status", "assess", "needs_status"]

_RULES: Final[Mapping[tuple[str, str], Callable[[Mapping[str, object]], Health]]] = {
    ("", "Namespace"): others.namespace,
    ("", "PersistentVolumeClaim"): others.persistent_volume_claim,
    ("", "Pod"): pods.pod,
    ("", "Service"): others.service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): others.custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): others.api_service,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("batch", "Job"): pods.job,
    ("policy", "PodDisruptionBudget"): others.pod_disruption_budget,
}

_BUILT_IN: Final = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""Groups of Kubernetes itself, whose kinds are all known here. Any other kind may carry conditions."""

_BY_EXISTENCE: Final = frozenset({("", "Namespace"), ("", "Service")})
"""Kinds with a rule that metadata alone answers: their API server fills in the rest before it answers the apply."""


def assess(obj: Mapping[str, object]) -> Health:
    """Judge one object as the API server returned it, with ``metadata`` and ``status``.

    Never raises: what a status does not say, or says in the wrong type, counts as not said.
    """
    decided = before_kind(obj)
    if decided is not None:
        return decided
    rule = _RULES.get((group_of(text(obj, "apiVersion")), text(obj, "kind")), by_conditions)
    return rule(obj)


def needs_status(kind: Kind, rules: Iterable[HealthRule] = ()) -> bool:
    """Tell whether more than an object's metadata decides its health; if not, it is current as soon as it exists.

    Args:
        kind: The object's.
        rules: Those of the project's own.
    """
    key = (kind.group, kind.kind)
    if rule_for(*key, rules) is not None:
        return True
    return key not in _BY_EXISTENCE and (key in _RULES or kind.group not in _BUILT_IN)
