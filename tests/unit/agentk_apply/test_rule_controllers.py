"""Fields that an object itself announces to be somebody else's."""

from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.rules.controllers import left_to_a_controller
from agentlink.refs import ObjectRef

ADMISSION = "admissionregistration.k8s.io"
INJECT = {"cert-manager.io/inject-ca-from": "team/certificate"}
WEBHOOKS = [{"name": "a.example.com"}, {"name": "b.example.com"}, {"name": "no]name"}, "text"]


@pytest.mark.parametrize(
    ("group", "kind", "manifest", "fields"),
    [
        ("rbac.authorization.k8s.io", "ClusterRole", {"aggregationRule": {"clusterRoleSelectors": [{}]}}, ("/rules",)),
        ("rbac.authorization.k8s.io", "ClusterRole", {"rules": []}, None),
        ("rbac.authorization.k8s.io", "ClusterRole", {"aggregationRule": None}, None),
        ("rbac.authorization.k8s.io", "Role", {"aggregationRule": {"clusterRoleSelectors": [{}]}}, None),
        (
            ADMISSION,
            "ValidatingWebhookConfiguration",
            {"metadata": {"annotations": INJECT}, "webhooks": WEBHOOKS},
            (
                "/webhooks/[name=a.example.com]/clientConfig/caBundle",
                "/webhooks/[name=b.example.com]/clientConfig/caBundle",
            ),
        ),
        (ADMISSION, "MutatingWebhookConfiguration", {"metadata": {}, "webhooks": WEBHOOKS}, None),
        (ADMISSION, "MutatingWebhookConfiguration", {"metadata": {"annotations": INJECT}, "webhooks": "text"}, None),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            {"metadata": {"annotations": {"cert-manager.io/inject-apiserver-ca": "true"}}},
            ("/spec/conversion/webhook/clientConfig/caBundle",),
        ),
        ("apiregistration.k8s.io", "APIService", {"metadata": {"annotations": INJECT}}, ("/spec/caBundle",)),
        (
            "",
            "ConfigMap",
            {"metadata": {"annotations": {"service.beta.openshift.io/inject-cabundle": "true"}}},
            ("/data/service-ca.crt",),
        ),
        (
            "",
            "ConfigMap",
            {"metadata": {"labels": {"config.openshift.io/inject-trusted-cabundle": "true"}}},
            ("/data/ca-bundle.crt",),
        ),
        ("", "ConfigMap", {"metadata": {"annotations": INJECT}}, None),
        ("apps", "Deployment", {"metadata": {"annotations": INJECT}}, None),
    ],
)
def test_what_is_announced_is_left(
    group: str, kind: str, manifest: dict[str, Any], fields: tuple[str, ...] | None
) -> None:
    left = left_to_a_controller(ObjectRef(group, kind, "", "name"), manifest)

    assert (None if left is None else left.fields) == fields
