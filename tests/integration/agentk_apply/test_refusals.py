"""What the API server refuses or changes on the way in: said with its reason, waited for, recreated or lived with."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.model import DriftPolicy, InventoryPolicy
from agentk.kube.objects import Objects
from agentk.kube.retry import RetryPolicy
from tests.support.engine import Manifest, Project, config_map, path
from tests.support.kube import ApiError, Kube
from tests.support.processes import free_port
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentk.kube.client import KubeClient

pytestmark = pytest.mark.cluster

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RBAC = "rbac.authorization.k8s.io"


def template(label: str, image: str = "nginx:1", **spec: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "app", "image": image}], **spec}}


def manifest(api_version: str, kind: str, name: str, **content: object) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **content}


def deployment(name: str, label: str) -> Manifest:
    spec = {"selector": {"matchLabels": {"app": label}}, "template": template(label)}
    return manifest("apps/v1", "Deployment", name, spec=spec)


def job(name: str, image: str) -> Manifest:
    return manifest("batch/v1", "Job", name, spec={"template": template(name, image, restartPolicy="Never")})


def service(name: str, address: str) -> Manifest:
    return manifest("v1", "Service", name, spec={"clusterIP": address, "ports": [{"port": 80}]})


def role_binding(name: str, role: str) -> Manifest:
    return manifest(f"{RBAC}/v1", "RoleBinding", name, roleRef={"apiGroup": RBAC, "kind": "Role", "name": role})


def stateful_set(name: str, service_name: str) -> Manifest:
    selector = {"matchLabels": {"app": name}}
    spec = {"serviceName": service_name, "selector": selector, "template": template(name), "replicas": 0}
    return manifest("apps/v1", "StatefulSet", name, spec=spec)


def claim(name: str, storage_class: str) -> Manifest:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": resources}
    return manifest("v1", "PersistentVolumeClaim", name, spec=spec)


CHANGES: dict[str, tuple[Manifest, Manifest, str]] = {
    "selector": (deployment("selector", "a"), deployment("selector", "b"), "spec.selector: field is immutable"),
    "job": (job("job", "busybox:1"), job("job", "busybox:2"), "spec.template: field is immutable"),
    "address": (service("address", "10.96.77.1"), service("address", "10.96.77.2"), "may not change once set"),
    "settings": (
        manifest("v1", "ConfigMap", "settings", immutable=True, data={"a": "1"}),
        manifest("v1", "ConfigMap", "settings", immutable=True, data={"a": "2"}),
        "data: field is immutable when `immutable` is set",
    ),
    "secret": (
        manifest("v1", "Secret", "secret", immutable=True, stringData={"a": "first-value"}),
        manifest("v1", "Secret", "secret", immutable=True, stringData={"a": "second-value"}),
        "data: field is immutable when `immutable` is set",
    ),
    "binding": (role_binding("binding", "one"), role_binding("binding", "two"), "roleRef: cannot change roleRef"),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_cannot_be_changed_is_an_error_with_the_remedy_and_recreated_where_that_is_asked_for(
    project: Project, what: str
) -> None:
    before, after, reason = CHANGES[what]
    assert await project.sync(before)
    uid = project.outcome(what).uid
    assert not await project.sync(after)
    outcome = project.outcome(what)
    assert outcome.reason == "ImmutableField"
    assert reason in outcome.message
    assert "recreate: true" in outcome.message
    assert "-value" not in outcome.message

    project.settings = replace(project.settings, recreate=True)
    assert await project.sync(after)
    outcome = project.outcome(what)
    assert outcome.reason == "Recreated"
    assert outcome.uid not in {uid, ""}
    assert not (await project.decide(after)).stages


async def test_a_stateful_set_is_made_anew_without_its_pods_as_the_message_says(
    project: Project, kube: Kube, namespace: str
) -> None:
    labels = {"app": "set"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    before, after = (
        manifest(
            "apps/v1", "StatefulSet", "set", spec={"serviceName": name, "selector": {"matchLabels": labels}} | of_pods
        )
        for name, of_pods in (("a", {"template": template}), ("b", {"template": template}))
    )
    project.settings = replace(project.settings, recreate=True)
    assert await project.sync(before)
    assert not await project.sync(after)
    message = project.outcome("set").message
    assert "updates to statefulset spec for fields other than 'replicas'" in message
    assert f"kubectl --namespace {namespace} delete statefulset set --cascade=orphan" in message
    kube.delete(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/set", propagationPolicy="Orphan")
    wait_until(lambda: kube.find(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/set") is None, what="it is gone")
    assert await project.sync(after)


@pytest.mark.parametrize("owner", [None, "9-9"])
async def test_what_is_not_the_project_s_is_never_deleted_to_be_created_again(
    project: Project, kube: Kube, namespace: str, owner: str | None
) -> None:
    name = f"strangers-{owner or 'own'}"
    before, after = deployment(name, "a"), deployment(name, "b")
    where = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    annotated = before["metadata"] | {"annotations": {"config.k8s.io/owning-inventory": owner}} if owner else {}
    kube.create(where.rpartition("/")[0], before | {"metadata": before["metadata"] | annotated})
    uid = kube.get(where)["metadata"]["uid"]
    project.settings = replace(project.settings, recreate=True, inventory_policy=InventoryPolicy.ADOPT_ALL)
    assert not await project.sync(after)
    outcome = project.outcome(name)
    assert outcome.reason == "ImmutableField"
    assert "does not belong to the project yet; annotate it" in outcome.message
    assert kube.get(where)["metadata"]["uid"] == uid

    mine = {"metadata": {"annotations": {"config.k8s.io/owning-inventory": project.settings.inventory_id}}}
    kube.patch(where, mine)
    assert await project.sync(after)
    assert project.outcome(name).reason == "Recreated"


@pytest.mark.parametrize(
    ("before", "after"), [(stateful_set("db", "a"), stateful_set("db", "b")), (claim("db", "a"), claim("db", "b"))]
)
async def test_what_holds_data_is_never_recreated_even_if_asked_for(
    project: Project, before: Manifest, after: Manifest
) -> None:
    project.settings = replace(project.settings, recreate=True)
    after["metadata"] = {"name": "db", "annotations": {"agentk.io/recreate": "true"}}
    assert await project.sync(before)
    uid = project.outcome("db").uid
    assert not await project.sync(after)
    outcome = project.outcome("db")
    assert outcome.reason == "ImmutableField"
    assert "never deletes" in outcome.message
    kind = project.discovery.find(outcome.ref.group, outcome.ref.kind, "v1")
    assert kind is not None
    live = await project.objects.get(kind, outcome.ref)
    assert live is not None
    assert live.uid == uid


async def test_an_object_that_is_wrong_in_other_ways_too_is_not_deleted(
    project: Project, kube: Kube, namespace: str
) -> None:
    project.settings = replace(project.settings, recreate=True)
    await project.sync(deployment("wrong", "a"))
    after = deployment("wrong", "b")
    after["spec"]["template"]["spec"]["containers"][0]["image"] = ""
    assert not await project.sync(after)
    assert project.outcome("wrong").reason == "Invalid"
    assert kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/wrong")["spec"]["selector"]["matchLabels"] == {
        "app": "a"
    }


async def test_what_somebody_recreated_is_not_recreated_where_drift_is_only_reported(
    project: Project, kube: Kube, namespace: str
) -> None:
    project.settings = replace(project.settings, recreate=True, drift=DriftPolicy.REPORT)
    await project.sync(deployment("replaced", "a"))
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    metadata = kube.get(f"{deployments}/replaced")["metadata"]
    kube.delete(f"{deployments}/replaced")
    theirs = deployment("replaced", "b")
    theirs["metadata"] |= {"labels": metadata["labels"], "annotations": metadata["annotations"]}
    uid = kube.create(deployments, theirs)["metadata"]["uid"]

    assert await project.sync(deployment("replaced", "a"))
    assert project.outcome("replaced").reason == "Drifted"
    assert kube.get(f"{deployments}/replaced")["metadata"]["uid"] == uid


@contextmanager
def policy(kube: Kube, kind: str, namespace: str, spec: dict[str, Any]) -> Iterator[str]:
    """Have an admission policy in force for ConfigMaps of one namespace."""
    name = f"test-{secrets.token_hex(3)}"
    plural, binding = f"{kind.lower()[:-1]}ies", f"{kind.lower()}bindings"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    ]
    matching = {"resourceRules": rules}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    metadata = {"metadata": {"name": name}}
    kube.create(f"{ADMISSION}/{plural}", metadata | {"spec": {"matchConstraints": matching} | spec})
    bound: dict[str, Any] = {"policyName": name, "matchResources": {"namespaceSelector": selector}}
    if kind == "ValidatingAdmissionPolicy":
        bound["validationActions"] = ["Deny"]
    kube.create(f"{ADMISSION}/{binding}", metadata | {"spec": bound})
    try:
        yield name
    finally:
        kube.delete(f"{ADMISSION}/{binding}/{name}")
        kube.delete(f"{ADMISSION}/{plural}/{name}")


def made(kube: Kube, namespace: str, **data: str) -> dict[str, str]:
    """What comes of a ConfigMap that is made now; nothing where it is refused."""
    name = f"probe-{secrets.token_hex(3)}"
    try:
        return dict(kube.create(path(namespace, ""), config_map(name, **data))["data"])
    except ApiError:
        return {}


async def test_a_policy_that_changes_our_objects_on_the_way_in_starts_no_fight(
    project: Project, kube: Kube, namespace: str
) -> None:
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": 'Object{data: {"a": "policy", "added": "policy"}}'},
    }
    spec = {"failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [mutation]}
    with policy(kube, "MutatingAdmissionPolicy", namespace, spec):
        await eventually(lambda: made(kube, namespace).get("a") == "policy", what="the policy is in force", within=30)
        assert await project.sync(config_map("mutated", a="ours", b="ours"))
        assert kube.get(path(namespace, "mutated"))["data"] == {"a": "policy", "added": "policy", "b": "ours"}
        assert not (await project.decide(config_map("mutated", a="ours", b="ours"))).stages
        version = kube.get(path(namespace, "mutated"))["metadata"]["resourceVersion"]
        project.recorded = {}
        assert await project.sync(config_map("mutated", a="ours", b="ours"))
        assert project.results == {"mutated": "unchanged"}
        assert kube.get(path(namespace, "mutated"))["metadata"]["resourceVersion"] == version

        kube.patch(path(namespace, "mutated"), {"data": {"b": "theirs"}})
        assert await project.sync(config_map("mutated", a="ours", b="ours"))
        assert kube.get(path(namespace, "mutated"))["data"]["b"] == "ours"
        assert not (await project.decide(config_map("mutated", a="ours", b="ours"))).stages


async def test_what_a_policy_denies_is_said_with_its_reason_and_the_rest_goes_on(
    project: Project, kube: Kube, namespace: str
) -> None:
    validation = {"expression": '!("secret" in object.data)', "message": "no secrets in ConfigMaps, please"}
    with policy(kube, "ValidatingAdmissionPolicy", namespace, {"validations": [validation]}) as name:
        await eventually(lambda: not made(kube, namespace, secret="1"), what="the policy is in force", within=30)
        assert not await project.sync(config_map("denied", secret="1"), config_map("fine"))
    assert project.results == {"denied": "failed", "fine": "created"}
    outcome = project.outcome("denied")
    assert outcome.reason == "AdmissionDenied"
    assert "no secrets in ConfigMaps, please" in outcome.message
    assert name in outcome.message


async def test_a_quota_that_is_used_up_is_named_and_the_rest_goes_on(
    project: Project, kube: Kube, namespace: str
) -> None:
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    kube.create(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"count/roles.rbac.authorization.k8s.io": "0"}}})
    try:
        await eventually(
            lambda: "used" in kube.get(f"{quotas}/few").get("status", {}), what="the quota is counted", within=30
        )
        role = manifest(f"{RBAC}/v1", "Role", "one-too-many", rules=[])
        assert not await project.sync(role, config_map("within"))
    finally:
        kube.delete(f"{quotas}/few")
    assert project.results == {"one-too-many": "failed", "within": "created"}
    assert project.outcome("one-too-many").reason == "QuotaExceeded"
    assert "exceeded quota: few" in project.outcome("one-too-many").message


async def test_a_webhook_that_is_down_is_tried_again_and_named_while_the_rest_goes_on(
    project: Project, client: KubeClient, kube: Kube, namespace: str
) -> None:
    name = f"down-{secrets.token_hex(3)}.example.com"
    hook = {
        "name": name,
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    hooks = f"{ADMISSION}/validatingwebhookconfigurations"
    kube.create(hooks, {"metadata": {"name": name}, "webhooks": [hook]})
    try:
        await eventually(lambda: not made(kube, namespace), what="the webhook is asked", within=30)
        project.objects = Objects(client, retries=RetryPolicy(attempts=2, first=0.01))
        project.executor = project.executor.acting_on(project.objects)
        assert not await project.sync(config_map("hooked"), role_binding("beside", "any"))
        assert project.results == {"hooked": "failed", "beside": "created"}
        assert project.outcome("hooked").reason == "AdmissionUnavailable"
        assert name in project.outcome("hooked").message
    finally:
        kube.delete(f"{hooks}/{name}")
    await eventually(lambda: bool(made(kube, namespace)), what="the webhook is asked no more", within=30)
    assert await project.sync(config_map("hooked"), role_binding("beside", "any"))
    assert project.results == {"hooked": "created", "beside": "unchanged"}
