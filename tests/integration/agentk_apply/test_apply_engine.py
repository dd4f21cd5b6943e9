"""The apply engine against a real API server: resolve, plan, execute, and what the cluster holds afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agentk.apply.execute import Executor
from agentk.apply.model import DryRun, InventoryPolicy, Outcome, Recorded, Result
from agentk.kube.client import KubeClient
from agentk.kube.errors import KubeError
from agentk.kube.objects import Objects
from tests.support.engine import Manifest, Project, config_map, path

if TYPE_CHECKING:
    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_two_hundred_objects_are_created_once_and_then_left_alone(
    project: Project, kube: Kube, namespace: str
) -> None:
    manifests = [config_map(f"many-{i}") for i in range(200)]
    assert await project.sync(*manifests)
    assert Counter(one.result for one in project.outcomes) == {Result.CREATED: 200}
    stored = kube.get(path(namespace, "many-0"))["metadata"]
    assert stored["labels"] == {"agentk.io/agent": "7"}
    assert stored["annotations"] == {"config.k8s.io/owning-inventory": project.settings.inventory_id}

    todo = await project.decide(*manifests)
    assert (todo.stages, todo.prunes, todo.record) == ((), (), None)
    assert await project.carry_out(todo)
    assert Counter(one.result for one in project.outcomes) == {Result.UNCHANGED: 200}


async def test_only_the_changed_object_is_applied_and_what_left_git_is_deleted(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("stays"), config_map("changes"), config_map("leaves"))
    assert await project.sync(config_map("stays"), config_map("changes", a="2"))
    assert project.results == {"stays": "unchanged", "changes": "configured", "leaves": "pruned"}
    assert kube.find(path(namespace, "leaves")) is None
    assert kube.get(path(namespace, "changes"))["data"] == {"a": "2"}
    assert {ref.name for ref in project.recorded} == {"stays", "changes"}


async def test_an_apply_that_changes_nothing_is_reported_as_unchanged(project: Project) -> None:
    await project.sync(config_map("same"))
    project.recorded = {ref: Recorded(ref) for ref in project.recorded}
    assert await project.sync(config_map("same"))
    assert project.results == {"same": "unchanged"}
    assert all(one.digest and one.fingerprint and one.uid for one in project.recorded.values())


async def test_a_crd_its_resource_and_their_namespace_arrive_in_one_plan(project: Project, kube: Kube) -> None:
    group = f"{secrets.token_hex(3)}.example.com"
    crd: Manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                        }
                    },
                }
            ],
        },
    }
    space = f"widgets-{secrets.token_hex(3)}"
    widgets: list[Manifest] = [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Widget",
            "metadata": {"name": f"w{i}", "namespace": space},
            "spec": {"size": i},
        }
        for i in range(5)
    ]
    try:
        home: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
        settings, project.settings = project.settings, replace(project.settings, dry_run=DryRun.SERVER)
        rehearsed: list[Outcome] = []
        assert await project.executor.run(await project.decide(*widgets, crd, home), rehearsed.append)
        assert {(one.result.value, one.reason) for one in rehearsed} == {("created", "DryRun")}
        assert kube.find(f"/api/v1/namespaces/{space}") is None
        project.settings = settings

        assert await project.sync(*widgets, crd, home)
        assert set(project.results.values()) == {"created"}
        assert kube.get(f"/apis/{group}/v1/namespaces/{space}/widgets/w3")["spec"] == {"size": 3}

        todo = await project.decide(*widgets[1:], crd, home)
        assert [prune.ref.name for wave in todo.prunes for prune in wave] == ["w0"]
    finally:
        kube.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}")
        kube.delete(f"/api/v1/namespaces/{space}")


async def test_resources_of_a_crd_that_is_refused_are_skipped_at_once_and_name_it(
    project: Project, client: KubeClient
) -> None:
    crd: Manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "wrong-name"},
        "spec": {
            "group": "broken.example.com",
            "scope": "Namespaced",
            "names": {"kind": "Broken", "plural": "brokens"},
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
    }
    broken: Manifest = {"apiVersion": "broken.example.com/v1", "kind": "Broken", "metadata": {"name": "b"}}
    project.executor = Executor(Objects(client), project.discovery, establish_seconds=3600)
    assert not await project.sync(crd, broken, config_map("beside"))
    assert project.results == {"wrong-name": "failed", "b": "skipped", "beside": "created"}
    assert project.outcome("wrong-name").reason == "Invalid"
    assert project.outcome("b").reason == "DependencyFailed"
    assert "customresourcedefinition.apiextensions.k8s.io/wrong-name" in project.outcome("b").message


async def test_git_wins_over_a_change_by_hand(project: Project, kube: Kube, namespace: str) -> None:
    await project.sync(config_map("edited", a="1", b="1"))
    kube.patch(path(namespace, "edited"), {"data": {"a": "by hand", "c": "theirs"}})
    todo = await project.decide(config_map("edited", a="1", b="1"))
    assert [action.force for stage in todo.stages for action in stage.applies] == [True]
    assert await project.carry_out(todo)
    assert kube.get(path(namespace, "edited"))["data"] == {"a": "1", "b": "1", "c": "theirs"}
    assert not (await project.decide(config_map("edited", a="1", b="1"))).stages


async def test_git_wins_over_updaters_where_the_conflict_shows_only_when_applying(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("taken"))
    kube.patch(path(namespace, "taken"), {"data": {"a": "by hand"}})
    todo = await project.decide(config_map("taken", a="2"))
    assert [action.force for stage in todo.stages for action in stage.applies] == [False]
    assert await project.carry_out(todo)
    assert kube.get(path(namespace, "taken"))["data"] == {"a": "2"}


async def test_fields_of_another_applier_are_an_error_that_names_it(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("shared"))
    theirs = config_map("shared", a="flux")
    kube.apply(path(namespace, "shared"), theirs, manager="flux", force=True)
    assert not await project.sync(config_map("shared", a="2"))
    outcome = project.outcome("shared")
    assert outcome.reason == "FieldConflict"
    assert "'flux'" in outcome.message
    assert ".data.a" in outcome.message
    assert kube.get(path(namespace, "shared"))["data"] == {"a": "flux"}
    # Each of the two ways out that the message names, tried.
    assert "agentk.io/ignore-fields" in outcome.message
    assert "agentk.io/force-conflicts" in outcome.message
    left = config_map("shared", a="2", b="1")
    left["metadata"]["annotations"] = {"agentk.io/ignore-fields": "/data/a"}
    assert await project.sync(left)
    assert kube.get(path(namespace, "shared"))["data"] == {"a": "flux", "b": "1"}
    taken = config_map("shared", a="2")
    taken["metadata"]["annotations"] = {"agentk.io/force-conflicts": "true"}
    assert await project.sync(taken)
    assert kube.get(path(namespace, "shared"))["data"] == {"a": "2"}


async def test_what_others_made_is_taken_only_when_the_policy_says_so(
    project: Project, kube: Kube, namespace: str
) -> None:
    kube.create(path(namespace, ""), config_map("theirs", a="theirs"))
    assert not await project.sync(config_map("theirs", a="ours"))
    assert project.outcome("theirs").reason == "NotInInventory"
    assert kube.get(path(namespace, "theirs"))["data"] == {"a": "theirs"}
    assert not project.recorded

    project.settings = replace(project.settings, inventory_policy=InventoryPolicy.ADOPT_IF_NO_INVENTORY)
    assert await project.sync(config_map("theirs", a="ours"))
    assert kube.get(path(namespace, "theirs"))["data"] == {"a": "ours"}


async def test_two_projects_never_fight_over_one_object(
    project: Project, client: KubeClient, kube: Kube, namespace: str
) -> None:
    second = Project(client, namespace)
    await project.sync(config_map("claimed", a="first"))
    assert not await second.sync(config_map("claimed", a="second"))
    assert project.settings.inventory_id in second.outcome("claimed").message
    assert kube.get(path(namespace, "claimed"))["data"] == {"a": "first"}


async def test_a_failing_object_fails_alone_and_stops_the_prune(project: Project, kube: Kube, namespace: str) -> None:
    await project.sync(config_map("good"), config_map("would-leave"))
    bad: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not_A_Name"}}
    assert not await project.sync(config_map("good", a="2"), bad)
    assert project.results == {"good": "configured", "Not_A_Name": "failed", "would-leave": "skipped"}
    assert project.outcome("Not_A_Name").reason == "Invalid"
    assert project.outcome("would-leave").reason == "PruneWaits"
    assert kube.find(path(namespace, "would-leave"))

    assert await project.sync(config_map("good", a="2"))
    assert kube.find(path(namespace, "would-leave")) is None


async def test_an_object_recreated_between_plan_and_prune_is_not_deleted(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("keeper"), config_map("recreated"))
    todo = await project.decide(config_map("keeper"))
    kube.delete(path(namespace, "recreated"))
    kube.create(path(namespace, ""), config_map("recreated", a="somebody's"))
    assert await project.carry_out(todo)
    assert project.outcome("recreated").reason == "Recreated"
    assert kube.get(path(namespace, "recreated"))["data"] == {"a": "somebody's"}


async def test_an_object_that_loses_its_annotation_between_plan_and_prune_is_not_deleted(
    project: Project, kube: Kube, namespace: str
) -> None:
    await project.sync(config_map("stays-ours"), config_map("given-away"))
    todo = await project.decide(config_map("stays-ours"))
    kube.patch(path(namespace, "given-away"), {"metadata": {"annotations": {"config.k8s.io/owning-inventory": None}}})
    stored = kube.get(path(namespace, "given-away"))
    await project.carry_out(todo)
    assert project.outcome("given-away").reason == "NotOurs"
    assert kube.get(path(namespace, "given-away")) == stored


async def test_an_object_asked_to_be_kept_survives_leaving_git(project: Project, kube: Kube, namespace: str) -> None:
    kept = config_map("kept")
    kept["metadata"] = {"name": "kept", "annotations": {"cli-utils.sigs.k8s.io/on-remove": "keep"}}
    await project.sync(config_map("rest"), kept)
    assert await project.sync(config_map("rest"))
    assert project.outcome("kept").reason == "Released"
    assert kube.find(path(namespace, "kept"))
    assert {ref.name for ref in project.recorded} == {"rest"}


async def test_no_value_of_a_secret_is_in_what_a_failure_says(project: Project) -> None:
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token"},
        "stringData": {"token": 8675309},
    }
    assert not await project.sync(secret)
    outcome = project.outcome("token")
    assert outcome.result is Result.FAILED
    assert outcome.message
    assert "8675309" not in repr(project.outcomes)


@pytest.mark.parametrize("dry_run", [DryRun.CLIENT, DryRun.SERVER])
async def test_a_rehearsal_tells_what_would_be_done_and_does_nothing(
    project: Project, kube: Kube, namespace: str, dry_run: DryRun
) -> None:
    old, leaving, new = (f"{dry_run}-{name}" for name in ("old", "leaving", "new"))
    await project.sync(config_map(old), config_map(leaving))
    recorded = dict(project.recorded)
    project.settings = replace(project.settings, dry_run=dry_run)
    todo = await project.decide(config_map(old, a="2"), config_map(new))
    outcomes: list[Outcome] = []
    assert await project.executor.run(todo, outcomes.append)
    assert {one.ref.name: one.result.value for one in outcomes} == {
        old: "configured",
        leaving: "pruned",
        new: "created",
    }
    assert {one.reason for one in outcomes} == {"DryRun"}
    assert kube.get(path(namespace, old))["data"] == {"a": "1"}
    assert kube.find(path(namespace, leaving))
    assert kube.find(path(namespace, new)) is None
    assert project.recorded == recorded


async def test_a_run_that_is_cancelled_has_reported_all_that_it_knows_and_the_next_one_finishes(
    project: Project, kube: Kube, namespace: str
) -> None:
    manifests = [config_map(f"cut-{i}") for i in range(150)]
    todo = await project.decide(*manifests)
    enough = asyncio.Event()
    seen: list[Outcome] = []

    def report(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == 40:
            enough.set()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(project.executor.run(todo, report))
        await enough.wait()
        running.cancel()
    assert running.cancelled()
    assert 40 <= len(seen) < 150
    for outcome in seen:
        assert kube.find(path(namespace, outcome.ref.name))
        project.note(outcome)
    project.recorded |= {ref: Recorded(ref) for ref in todo.record or () if ref not in project.recorded}

    assert await project.sync(*manifests)
    kinds = Counter(one.result for one in project.outcomes)
    assert kinds[Result.FAILED] == 0
    assert kinds[Result.UNCHANGED] >= len(seen)
    assert len(kube.get(path(namespace, ""), labelSelector="agentk.io/agent=7")["items"]) >= 150


async def test_a_huge_project_does_not_hold_up_a_small_one(
    project: Project, client: KubeClient, namespace: str
) -> None:
    small = Project(client, namespace)
    small.executor = project.executor
    huge_plan = await project.decide(*(config_map(f"huge-{i}") for i in range(600)))
    small_plan = await small.decide(*(config_map(f"small-{i}") for i in range(4)))
    under_way, ended_behind = asyncio.Event(), []

    def note(outcome: Outcome) -> None:
        project.note(outcome)
        under_way.set()

    async def run_small() -> None:
        await under_way.wait()
        assert await small.carry_out(small_plan)
        ended_behind.append(len(project.outcomes))

    async with asyncio.TaskGroup() as group:
        group.create_task(project.executor.run(huge_plan, note))
        group.create_task(run_small())
    assert len(project.outcomes) == 600
    assert ended_behind[0] < 300


async def test_a_cluster_that_is_lost_ends_the_run_and_what_was_done_is_known(own_control_plane: ControlPlane) -> None:
    async with await KubeClient.connect(kubeconfig=str(own_control_plane.kubeconfig)) as client:
        project = Project(client, "default")
        manifests = [config_map(f"lost-{i}") for i in range(400)]
        todo = await project.decide(*manifests)

        def stop_after_fifty(outcome: Outcome) -> None:
            project.note(outcome)
            if len(project.outcomes) == 50:
                own_control_plane.stop_api_server()

        with pytest.raises(KubeError) as caught:
            await project.executor.run(todo, stop_after_fifty)
        assert caught.value.status == 0
        assert 50 <= len(project.outcomes) < 400
        assert all(one.result is Result.CREATED for one in project.outcomes)

        own_control_plane.start_api_server()
        known = len(project.outcomes)
        assert await project.sync(*manifests)
        assert Counter(one.result for one in project.outcomes)[Result.UNCHANGED] >= known
