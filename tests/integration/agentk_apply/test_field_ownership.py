"""Whose fields are whose, on the real API server: what is taken over, what is left, and who is named for what."""

from __future__ import annotations

import secrets
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.model import DriftPolicy, IgnoreRule, InventoryPolicy, Result
from agentk.apply.names import LEFT_MANAGER
from tests.support.engine import Manifest, Project, config_map, path

if TYPE_CHECKING:
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def deployment(
    name: str, *, replicas: int | None = 3, image: str = "nginx:1", annotations: dict[str, str] | None = None
) -> Manifest:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def deployments(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def managers(live: dict[str, Any]) -> set[str]:
    return {f"{one['manager']}/{one['operation']}" for one in live["metadata"]["managedFields"] if "manager" in one}


def adopting(project: Project) -> None:
    project.settings = replace(project.settings, inventory_policy=InventoryPolicy.ADOPT_ALL)


def by_kubectl(kube: Kube, namespace: str, manifest: Manifest, manager: str) -> None:
    """Leave an object as a way of using kubectl leaves it."""
    name = manifest["metadata"]["name"]
    if manager == "kubectl":
        kube.apply(path(namespace, name), manifest, manager=manager)
        return
    made = deepcopy(manifest)
    made["metadata"]["annotations"] = {LAST_APPLIED: "{}"} if manager == "kubectl-client-side-apply" else {}
    kube.create(f"{path(namespace, '')}?fieldManager={manager}", made)


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "kubectl"])
async def test_what_kubectl_applied_becomes_ours_and_leaves_with_git(
    project: Project, kube: Kube, namespace: str, manager: str
) -> None:
    adopting(project)
    name = f"from-{manager}"
    by_kubectl(kube, namespace, config_map(name, kept="1", leaving="1", forgotten="1"), manager)
    assert await project.sync(config_map(name, kept="1", leaving="1"))
    live = kube.get(path(namespace, name))
    assert live["data"] == {"kept": "1", "leaving": "1"}
    assert LAST_APPLIED not in live["metadata"]["annotations"]
    assert managers(live) == {"agentk/Apply"}

    assert await project.sync(config_map(name, kept="1"))
    assert kube.get(path(namespace, name))["data"] == {"kept": "1"}
    assert not (await project.decide(config_map(name, kept="1"))).stages


async def test_what_kubectl_created_by_hand_keeps_only_what_git_does_not_hold(
    project: Project, kube: Kube, namespace: str
) -> None:
    adopting(project)
    by_kubectl(kube, namespace, config_map("by-hand", ours="1", theirs="1"), "kubectl-create")
    assert await project.sync(config_map("by-hand", ours="1", more="1"))
    assert await project.sync(config_map("by-hand", more="1"))
    assert kube.get(path(namespace, "by-hand"))["data"] == {"theirs": "1", "more": "1"}


async def test_kubectl_apply_on_an_object_of_ours_is_drift_and_leaves_no_claim_behind(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("taken", a="1", b="1"))
    kube.apply(path(namespace, "taken"), config_map("taken", a="by hand"), manager="kubectl", force=True)
    assert await project.sync(config_map("taken", a="1", b="1"))
    live = kube.get(path(namespace, "taken"))
    assert live["data"] == {"a": "1", "b": "1"}
    assert managers(live) == {"agentk/Apply"}
    outcome = project.outcome("taken")
    assert outcome.reason == "DriftCorrected"
    assert "'kubectl' applied .data.a at 20" in outcome.message


async def test_fields_of_another_applier_are_taken_where_that_is_asked_for(
    project: Project, kube: Kube, namespace: str
) -> None:
    for name in ("by-project", "by-annotation"):
        await project.sync(config_map("by-project"), config_map("by-annotation"))
        kube.apply(path(namespace, name), config_map(name, a="flux"), manager="kustomize-controller", force=True)
    asking = config_map("by-annotation", a="2")
    asking["metadata"]["annotations"] = {"agentk.io/force-conflicts": "true"}
    assert not await project.sync(config_map("by-project", a="2"), asking)
    assert project.results == {"by-project": "failed", "by-annotation": "configured"}
    assert "'kustomize-controller'" in project.outcome("by-project").message
    project.settings = replace(project.settings, force_conflicts=True)
    assert await project.sync(config_map("by-project", a="2"), asking)
    assert kube.get(path(namespace, "by-project"))["data"] == {"a": "2"}


async def test_an_ignored_field_is_set_at_creation_and_then_left_alone(
    project: Project, kube: Kube, namespace: str
) -> None:
    project.settings = replace(project.settings, ignore=(IgnoreRule(("/data/theirs",), kind="ConfigMap"),))
    manifest = config_map("shared", ours="1", theirs="first")
    assert await project.sync(manifest)
    assert project.results == {"shared": "created"}
    live = kube.get(path(namespace, "shared"))
    assert live["data"] == {"ours": "1", "theirs": "first"}
    assert f"{LEFT_MANAGER}/Update" in managers(live)

    kube.patch(path(namespace, "shared"), {"data": {"theirs": "second"}})
    assert not (await project.decide(manifest)).stages
    assert await project.sync(config_map("shared", ours="2", theirs="third"))
    assert kube.get(path(namespace, "shared"))["data"] == {"ours": "2", "theirs": "second"}


async def test_a_field_that_becomes_ignored_keeps_its_value_and_git_wins_again_afterwards(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(deployment("handed", replicas=3))
    leaving = {"agentk.io/ignore-fields": "/spec/replicas, /spec/template/spec/containers/[name=app]/image"}
    assert await project.sync(deployment("handed", replicas=7, image="nginx:7", annotations=leaving))
    live = kube.get(deployments(namespace, "handed"))
    assert live["spec"]["replicas"] == 3
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1"
    kube.scale(deployments(namespace, "handed"), 5)
    assert not (await project.decide(deployment("handed", replicas=9, image="nginx:9", annotations=leaving))).stages

    assert await project.sync(deployment("handed", replicas=2))
    assert kube.get(deployments(namespace, "handed"))["spec"]["replicas"] == 2
    assert f"{LEFT_MANAGER}/Update" not in managers(kube.get(deployments(namespace, "handed")))
    assert not (await project.decide(deployment("handed", replicas=2))).stages


async def test_a_field_within_what_kubernetes_keeps_whole_cannot_be_left_by_itself(project: Project) -> None:
    leaving = {"agentk.io/ignore-fields": "/spec/selector/matchLabels/app"}
    assert not await project.sync(deployment("whole", annotations=leaving))
    outcome = project.outcome("whole")
    assert outcome.reason == "InvalidIgnoreRule"
    assert "/spec/selector/matchLabels/app" in outcome.message


def autoscaler(target: str, version: str = "v2") -> Manifest:
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
        "minReplicas": 1,
        "maxReplicas": 9,
    }
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"scales-{target}"},
        "spec": spec,
    }


@pytest.mark.parametrize("still_in_git", [True, False])
async def test_replicas_are_left_to_an_autoscaler_of_the_same_revision_for_as_long_as_it_is_there(
    project: Project, kube: Kube, namespace: str, *, still_in_git: bool
) -> None:
    name = f"scaled-{still_in_git}".lower()
    await project.sync(deployment(name, replicas=4))
    kept = deployment(name, replicas=4 if still_in_git else None)
    assert await project.sync(kept, autoscaler(name))
    assert kube.get(deployments(namespace, name))["spec"]["replicas"] == 4
    assert project.outcome(name).reason == "Autoscaled"
    assert f"scales-{name}" in project.outcome(name).message

    kube.scale(deployments(namespace, name), 6)
    assert not (await project.decide(kept, autoscaler(name))).stages
    await project.sync(deployment(name, replicas=4, image="nginx:2"), autoscaler(name))
    assert kube.get(deployments(namespace, name))["spec"]["replicas"] == 6

    await project.sync(deployment(name, replicas=4))
    assert kube.get(deployments(namespace, name))["spec"]["replicas"] == 4


async def test_drift_is_put_back_and_the_one_who_did_it_is_named(project: Project, kube: Kube, namespace: str) -> None:
    await project.sync(deployment("named"), config_map("edited", a="1", b="1"), config_map("gone"))
    kube.scale(deployments(namespace, "named"), 8)
    kube.apply(path(namespace, "edited"), config_map("edited", a="theirs"), manager="somebody", force=True)
    kube.delete(path(namespace, "gone"))
    project.settings = replace(project.settings, force_conflicts=True)
    assert await project.sync(deployment("named"), config_map("edited", a="1", b="1"), config_map("gone"))
    assert {one.reason for one in project.outcomes} == {"DriftCorrected"}
    assert ".spec.replicas through scale" in project.outcome("named").message
    assert "'somebody' applied .data.a at 20" in project.outcome("edited").message
    assert project.outcome("gone").message == "was deleted outside Git"
    kube.patch(path(namespace, "edited"), {"data": {"b": None}})
    await project.sync(deployment("named"), config_map("edited", a="1", b="1"), config_map("gone"))
    assert project.outcome("edited").message == "was changed outside Git: .data.b removed"


@pytest.mark.parametrize("policy", [DriftPolicy.REPORT, DriftPolicy.IGNORE])
async def test_drift_that_is_not_to_be_corrected_stays(
    project: Project, kube: Kube, namespace: str, policy: DriftPolicy
) -> None:
    name, gone, asked = (f"{policy}-{what}" for what in ("changed", "gone", "asked"))
    back = config_map(asked)
    back["metadata"]["annotations"] = {"agentk.io/drift": "correct"}
    project.settings = replace(project.settings, drift=policy)
    await project.sync(config_map(name), config_map(gone), back)
    for one in (name, asked):
        kube.patch(path(namespace, one), {"data": {"a": "theirs"}})
    kube.delete(path(namespace, gone))
    version = kube.get(path(namespace, name))["metadata"]["resourceVersion"]

    assert await project.sync(config_map(name), config_map(gone), back)
    result = "skipped" if policy is DriftPolicy.REPORT else "unchanged"
    assert project.results == {name: result, gone: result, asked: "configured"}
    assert kube.find(path(namespace, gone)) is None
    assert kube.get(path(namespace, name))["metadata"]["resourceVersion"] == version
    if policy is DriftPolicy.REPORT:
        assert project.outcome(name).reason == project.outcome(gone).reason == "Drifted"
        assert ".data.a at 20" in project.outcome(name).message

    assert await project.sync(config_map(name, a="2"), config_map(gone, a="2"), back)
    assert kube.get(path(namespace, name))["data"] == kube.get(path(namespace, gone))["data"] == {"a": "2"}


async def test_an_object_whose_managers_were_wiped_is_ours_again_and_nobody_else_keeps_a_claim(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("wiped", a="1", b="1"))
    kube.patch(path(namespace, "wiped"), {"metadata": {"managedFields": [{}]}})
    assert await project.sync(config_map("wiped", a="1", b="1"))
    assert managers(kube.get(path(namespace, "wiped"))) == {"agentk/Apply"}
    assert await project.sync(config_map("wiped", a="1"))
    assert kube.get(path(namespace, "wiped"))["data"] == {"a": "1"}


async def test_a_field_that_moved_to_another_manager_is_fetched_back(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("moved", a="1"))
    kube.patch(path(namespace, "moved"), {"data": {"a": None}})
    kube.patch(path(namespace, "moved"), {"data": {"a": "1"}})
    assert await project.sync(config_map("moved", a="1"))
    assert project.outcome("moved").reason == "DriftCorrected"
    assert not (await project.decide(config_map("moved", a="1"))).stages


async def test_the_same_object_in_another_api_version_is_no_drift(project: Project, kube: Kube, namespace: str) -> None:
    await project.sync(deployment("two"), autoscaler("two", "v1"))
    scaler = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/scales-two"
    kube.patch(scaler, {"metadata": {"labels": {"theirs": "1"}}})
    assert not (await project.decide(deployment("two"), autoscaler("two", "v1"))).stages
    assert await project.sync(deployment("two"), autoscaler("two"))
    assert len([one for one in managers(kube.get(scaler)) if one == "agentk/Apply"]) == 1
    todo = await project.decide(deployment("two"), autoscaler("two"), autoscaler("two", "v1"))
    assert todo.blocked is not None
    assert todo.blocked.reason == "DuplicateObject"
    assert not todo.stages


async def test_a_custom_resource_in_two_versions_is_one_object_and_no_drift(
    project: Project, kube: Kube, namespace: str
) -> None:
    group = f"{secrets.token_hex(3)}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")]
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
    crd: Manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }
    first, second = (
        {"apiVersion": f"{group}/{version}", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
        for version in ("v1", "v2")
    )
    try:
        assert await project.sync(crd, first)
        uid = project.outcome("w").uid
        kube.patch(f"/apis/{group}/v2/namespaces/{namespace}/widgets/w", {"spec": {"theirs": 1}})
        assert not (await project.decide(crd, first)).stages
        assert await project.sync(crd, second)
        assert (project.outcome("w").result, project.outcome("w").uid) == (Result.CONFIGURED, uid)
        assert not (await project.decide(crd, second)).stages
        todo = await project.decide(crd, first, second)
        assert todo.blocked is not None
        assert todo.blocked.reason == "DuplicateObject"
    finally:
        kube.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}")


async def test_an_object_recreated_by_somebody_between_plan_and_apply_is_applied_all_the_same(
    project: Project, kube: Kube, namespace: str
) -> None:
    project.settings = replace(project.settings, ignore=(IgnoreRule(("/data/theirs",)),))
    await project.sync(config_map("again", a="1", theirs="1"), config_map("vanished", a="1", theirs="1"))
    todo = await project.decide(config_map("again", a="2", theirs="1"), config_map("vanished", a="2", theirs="1"))
    for name in ("again", "vanished"):
        kube.delete(path(namespace, name))
    kube.create(path(namespace, ""), config_map("again", a="somebody's", theirs="somebody's"))
    assert await project.carry_out(todo)
    assert kube.get(path(namespace, "again"))["data"] == {"a": "2", "theirs": "somebody's"}
    assert kube.get(path(namespace, "vanished"))["data"] == {"a": "2", "theirs": "1"}
    assert project.outcome("vanished").result is Result.CREATED


async def test_ports_that_share_a_number_are_applied_where_kubernetes_can_tell_them_apart(
    project: Project, kube: Kube, namespace: str
) -> None:
    ports = [{"name": "tcp", "port": 53, "protocol": "TCP"}, {"name": "udp", "port": 53, "protocol": "UDP"}]
    service: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "dns"},
        "spec": {"selector": {"app": "dns"}, "ports": ports},
    }
    twice = deployment("twice")
    container = twice["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"name": "a", "containerPort": 53}, {"name": "b", "containerPort": 53}]
    assert not await project.sync(service, twice)
    assert project.results == {"dns": "created", "twice": "failed"}
    outcome = project.outcome("twice")
    assert outcome.reason == "Invalid"
    assert "duplicate entries" in outcome.message
    assert '.containers[name="app"].ports' in outcome.message
    assert not (await project.decide(service)).stages
    service["spec"]["ports"] = ports[:1]
    assert await project.sync(service)
    found = kube.get(f"/api/v1/namespaces/{namespace}/services/dns")["spec"]["ports"]
    assert [one["protocol"] for one in found] == ["TCP"]
