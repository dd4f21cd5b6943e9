"""Fields that a controller fills by announcement of the object itself, and that are therefore left to it.

Each case is known: the object says, in its own fields or annotations, who fills what. What Git holds there is set when
the object is created, and never put back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentk.apply.rules.autoscale import autoscaled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentk.apply.model import Desired
    from agentlink.refs import ObjectRef

_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"

_KINDS: Final = frozenset(
    {
        (_RBAC, "ClusterRole"),
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        (_ADMISSION, "MutatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("", "ConfigMap"),
    }
)
"""What any of the cases below is about, so that all other objects cost one look-up."""

_INJECTORS: Final = {
    "cert-manager.io/inject-ca-from": "cert-manager's CA injector",
    "cert-manager.io/inject-ca-from-secret": "cert-manager's CA injector",
    "cert-manager.io/inject-apiserver-ca": "cert-manager's CA injector",
    "service.beta.openshift.io/inject-cabundle": "OpenShift's service CA",
}
"""Annotations that ask for the certificate authority of a webhook or API server, and who answers."""

_TRUST_LABEL: Final = "config.openshift.io/inject-trusted-cabundle"

_WEBHOOK: Final = re.compile(r"[a-z0-9.-]{1,253}")
"""A webhook's name; Kubernetes takes a domain name with three parts."""


@dataclass(frozen=True, slots=True)
class Left:
    """Fields, as pointers, and who fills them from what, as the end of a sentence."""

    fields: tuple[str, ...]
    whom: str


def left_to_a_controller(ref: ObjectRef, manifest: Mapping[str, Any]) -> Left | None:
    """Return what an object announces that somebody else fills, None for nearly all objects."""
    if (ref.group, ref.kind) not in _KINDS:
        return None
    if ref.kind == "ClusterRole":
        if not manifest.get("aggregationRule"):
            return None
        return Left(("/rules",), "its rules are left to Kubernetes, which fills them by its aggregationRule")
    metadata = manifest.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    who = next((who for key, who in _INJECTORS.items() if annotations.get(key)), None)
    if ref.kind == "ConfigMap":
        return _of_config_map(annotations, metadata.get("labels") or {})
    if who is None:
        return None
    fields = tuple(_bundles(ref.kind, manifest))
    return Left(fields, f"its caBundle is left to {who}, which its annotation asks for it") if fields else None


def left_words(desired: Desired) -> tuple[str, str]:
    """Return the reason and message of an object of which fields are left to the cluster, both empty for others."""
    if desired.traits is None or not desired.traits.controller:
        return autoscaled(desired)
    return "LeftToController", desired.traits.controller


def _of_config_map(annotations: Mapping[str, object], labels: Mapping[str, object]) -> Left | None:
    if annotations.get("service.beta.openshift.io/inject-cabundle"):
        return Left(("/data/service-ca.crt",), "its service-ca.crt is left to OpenShift's service CA")
    if labels.get(_TRUST_LABEL):
        return Left(("/data/ca-bundle.crt",), "its ca-bundle.crt is left to OpenShift's network operator")
    return None


def _bundles(kind: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    if kind == "CustomResourceDefinition":
        yield "/spec/conversion/webhook/clientConfig/caBundle"
    elif kind == "APIService":
        yield "/spec/caBundle"
    else:
        webhooks = manifest.get("webhooks")
        for webhook in webhooks if isinstance(webhooks, list) else ():
            match webhook:
                case {"name": str(name)} if _WEBHOOK.fullmatch(name):
                    yield f"/webhooks/[name={name}]/clientConfig/caBundle"
