"""Fields that an object announces to be filled by a controller, on the real API server: they are left to it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.engine import Manifest, Project
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def aggregated(name: str, **labels: str) -> Manifest:
    """A ClusterRole as operators ship it: its rules are nobody's in Git."""
    rule = {"clusterRoleSelectors": [{"matchLabels": {name: "true"}}]}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        "aggregationRule": rule,
        "rules": [],
    }


async def test_the_rules_of_an_aggregated_role_are_left_to_kubernetes(project: Project, kube: Kube) -> None:
    name = f"aggregated-{secrets.token_hex(4)}"
    whole = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    part = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules}
    kube.create(whole.rpartition("/")[0], {**part, "metadata": {"name": f"{name}-part", "labels": {name: "true"}}})
    assert await project.sync(aggregated(name))

    # What the controller in kube-controller-manager does, under its name, where this cluster runs none.
    filled = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    kube.apply(whole, {**filled, "rules": rules}, manager="clusterrole-aggregation-controller", force=True)

    assert not (await project.decide(aggregated(name))).stages, "what the controller filled was taken for drift"
    assert await project.sync(aggregated(name, changed="yes")), project.outcome(name)
    assert project.outcome(name).reason == "LeftToController"
    assert "aggregationRule" in project.outcome(name).message
    live = kube.get(whole)
    assert live["rules"] == rules
    assert live["metadata"]["labels"]["changed"] == "yes"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_bundle_that_an_injector_is_asked_for_is_left_to_it(
    project: Project, kube: Kube, *, announced: bool
) -> None:
    name = f"injected-{secrets.token_hex(4)}"
    whole = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}"
    rule = {"apiGroups": ["none.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}
    webhook: Manifest = {
        "name": "a.none.example",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"service": {"name": "nope", "namespace": "default"}, "caBundle": ""},
        "rules": [rule],
    }
    annotations = {"cert-manager.io/inject-ca-from": "team/certificate"} if announced else {}
    manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "annotations": annotations},
        "webhooks": [webhook],
    }
    await project.sync(manifest)

    found = kube.get(whole)
    found["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
    kube.patch(f"{whole}?fieldManager=cainjector", {"webhooks": found["webhooks"]})
    await project.sync(manifest)

    there = kube.get(whole)["webhooks"][0]["clientConfig"].get("caBundle", "")
    assert there == ("Cg==" if announced else "")
    assert (project.outcome(name).reason == "LeftToController") == announced
