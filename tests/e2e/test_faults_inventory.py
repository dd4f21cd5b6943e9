"""The inventory is deleted, broken, doubled or taken by somebody: what is said, what is applied, what is not pruned.

Every project has an object that left Git, and one that changed, while agentk was down and the inventory was harmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.seal import SEALED
from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LABEL = "cli-utils.sigs.k8s.io/inventory-id"
LISTED = "agentk.io/inventory-shards"
PROJECTS = (
    "deleted",
    "value",
    "key",
    "doubled",
    "shard",
    "foreign",
    "list",
    "headless",
    "running",
    "meddled",
    "told",
    "refused",
)
HARMED = PROJECTS[:8]


class Project(Driven):
    """A project with three objects named after it, and its inventory."""

    @property
    def name(self) -> str:
        return self.project.rpartition("/")[2]

    @property
    def collection(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    def inventory(self) -> dict[str, Any] | None:
        """Return its head, known by what it remembers."""
        found: list[dict[str, Any]] = self.kube.get(self.collection, labelSelector=LABEL)["items"]
        key = f"{self.namespace}_{self.name}-stays__ConfigMap"
        return next((one for one in found if key in one.get("data", {})), None)

    def files(self, value: str = "1") -> dict[str, str]:
        return {
            f"manifests/{which}.yaml": config_map(f"{self.name}-{which}", value if which == "changes" else "1")
            for which in ("stays", "changes", "leaves")
        }

    def event(self, reason: str, text: str) -> dict[str, Any]:
        """Wait for an event with this text that ``kubectl describe configmap`` shows of the inventory."""
        found = self.inventory()
        assert found is not None
        selector = f"involvedObject.uid={found['metadata']['uid']},reason={reason}"

        def events() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = self.kube.get(
                f"/api/v1/namespaces/{self.namespace}/events", fieldSelector=selector
            )["items"]
            return [one for one in items if text in one["message"]]

        return wait_until(events, what=f"an event {reason} is there")[0]

    @property
    def is_changed(self) -> bool:
        return self.value(f"{self.name}-changes") == "2"

    @property
    def has_left(self) -> bool:
        return self.config_map(f"{self.name}-leaves") is None

    def recovers(self, *, pruned: bool) -> None:
        """Prove that all is well after the repair, with the object that left pruned or still there."""
        self.goes_on()
        wait_until(lambda: self.is_changed, what="the change is applied")
        wait_until(lambda: self.has_left == pruned, what=f"what left Git is {'' if pruned else 'not '}pruned")
        found = self.inventory()
        assert found is not None
        assert f"{self.namespace}_{self.name}-changes__ConfigMap" in found["data"]


def harm(project: Project) -> None:
    """Do to the inventory what the project is named after."""
    kube, head = project.kube, project.inventory()
    assert head is not None
    metadata = head["metadata"]
    path, name, inventory_id = f"{project.collection}/{metadata['name']}", metadata["name"], metadata["labels"][LABEL]
    shard = {"name": f"{name}.1", "labels": {LABEL: f"{inventory_id}.shard", "agentk.io/inventory-shard": "1"}}
    match project.name:
        case "deleted":
            kube.delete(path)
        case "value":
            kube.patch(path, {"data": dict.fromkeys(head["data"], "not what agentk wrote")})
        case "key":
            kube.patch(path, {"data": {"nonsense": "1"}})
        case "doubled":
            kube.create(
                project.collection,
                {"metadata": {"name": f"{name}-copy", "labels": metadata["labels"]}, "data": head["data"]},
            )
        case "shard":
            kube.patch(path, {"metadata": {"annotations": {LISTED: "1"}}})
        case "foreign":
            kube.delete(path)
            kube.create(project.collection, {"metadata": {"name": name}, "data": {"a": "b"}})
        case "list":
            kube.patch(path, {"metadata": {"annotations": {LISTED: "one, two"}}})
        case "headless":
            kube.create(project.collection, {"metadata": shard, "data": {}})
            kube.delete(path)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("inventory"), control_plane.kubeconfig) as running:
        yield running


@pytest.fixture(scope="module")
def projects(installation: Installation, kube: Kube, namespace: str) -> dict[str, Project]:
    """All projects, after agentk was away while the inventories were harmed and Git went on."""
    kas, paths = installation.kas, [f"inventories/{name}" for name in PROJECTS]
    installation.git.create("config/keeper").push_files(config_files("keeper", namespace, *paths))
    found = {
        path.rpartition("/")[2]: Project(kas, "keeper", path, installation.git.create(path), kube, namespace)
        for path in paths
    }
    for project in found.values():
        project.repository.push_files(project.files())
    agent = installation.agent("keeper", project="config/keeper")
    for project in found.values():
        project.wait("healthy")
        assert project.inventory() is not None
    agent.stop()
    for name in HARMED:
        harm(found[name])
        found[name].repository.push_files({"manifests/changes.yaml": config_map(f"{name}-changes", "2")})
        found[name].repository.push_removal("manifests/leaves.yaml")
    agent.start()
    return found


def test_a_deleted_inventory_is_begun_anew_and_what_nobody_knows_of_is_not_pruned(
    projects: dict[str, Project],
) -> None:
    project = projects["deleted"]
    wait_until(lambda: project.is_changed, what="the change is applied")
    project.wait("healthy")
    project.recovers(pruned=False)


def test_values_that_nobody_understands_cost_an_apply_and_nothing_else(projects: dict[str, Project]) -> None:
    project = projects["value"]
    wait_until(lambda: project.is_changed, what="the change is applied")
    project.wait("healthy")
    project.recovers(pruned=True)
    found = project.inventory()
    assert found is not None
    assert all(SEALED.fullmatch(value) for value in found["data"].values())


def test_with_an_entry_that_names_no_object_all_is_applied_and_nothing_pruned(projects: dict[str, Project]) -> None:
    project = projects["key"]
    sync = project.wait("failed", reason="InventoryDamaged")
    assert "entry 'nonsense' names no object; restore it, or delete it if it is not agentk's" in sync["message"]
    assert project.is_changed
    assert not project.has_left
    found = project.inventory()
    assert found is not None
    project.kube.patch(f"{project.collection}/{found['metadata']['name']}", {"data": {"nonsense": None}})
    project.recovers(pruned=True)


def test_of_two_inventories_that_in_its_place_counts_and_the_other_is_named(projects: dict[str, Project]) -> None:
    project = projects["doubled"]
    wait_until(lambda: project.is_changed and project.has_left, what="what Git says is done")
    sync = project.wait("healthy", reason="InventoryElsewhere")
    assert "-copy" in sync["message"]
    assert "delete them, or take their label" in sync["message"]
    for one in project.kube.get(project.collection, labelSelector=LABEL)["items"]:
        if one["metadata"]["name"].endswith("-copy"):
            project.kube.delete(f"{project.collection}/{one['metadata']['name']}")
    project.recovers(pruned=True)


def test_with_a_shard_missing_all_is_applied_and_nothing_pruned(projects: dict[str, Project]) -> None:
    project = projects["shard"]
    sync = project.wait("failed", reason="InventoryDamaged")
    assert "is missing: it is shard 1 of the inventory" in sync["message"]
    assert f"take 1 off the annotation {LISTED}" in sync["message"]
    assert project.event("SyncFailed", "is missing: it is shard 1 of the inventory")["type"] == "Warning"
    assert project.is_changed
    assert not project.has_left
    found = project.inventory()
    assert found is not None
    path = f"{project.collection}/{found['metadata']['name']}"
    project.kube.patch(path, {"metadata": {"annotations": {LISTED: ""}}})
    project.recovers(pruned=True)


def test_somebody_elses_configmap_of_that_name_is_not_taken(projects: dict[str, Project]) -> None:
    project = projects["foreign"]
    sync = project.wait("failed", reason="InventoryConflict")
    assert "exists already" in sync["message"]
    assert "rename or remove it" in sync["message"]
    assert not project.is_changed
    (foreign,) = [one for one in project.kube.get(project.collection)["items"] if one.get("data") == {"a": "b"}]
    project.kube.delete(f"{project.collection}/{foreign['metadata']['name']}")
    project.recovers(pruned=False)


def test_a_list_of_shards_that_nobody_understands_stops_the_project(projects: dict[str, Project]) -> None:
    project = projects["list"]
    sync = project.wait("failed", reason="InventoryUnreadable")
    assert "reads 'one, two'" in sync["message"]
    assert not project.is_changed
    found = project.inventory()
    assert found is not None
    path = f"{project.collection}/{found['metadata']['name']}"
    project.kube.patch(path, {"metadata": {"annotations": {LISTED: None}}})
    project.recovers(pruned=True)


def test_shards_without_a_head_stop_the_project_and_are_not_overwritten(projects: dict[str, Project]) -> None:
    project = projects["headless"]
    sync = project.wait("failed", reason="InventoryUnreadable")
    assert "is gone, while 1 further" in sync["message"]
    assert not project.is_changed
    (shard,) = project.kube.get(project.collection, labelSelector="agentk.io/inventory-shard")["items"]
    project.kube.delete(f"{project.collection}/{shard['metadata']['name']}")
    project.recovers(pruned=False)


def test_an_inventory_deleted_under_a_running_agentk_is_noticed_and_begun_anew(projects: dict[str, Project]) -> None:
    project = projects["running"]
    before = project.config_map("running-stays")
    found = project.inventory()
    assert before is not None
    assert found is not None
    project.kube.delete(f"{project.collection}/{found['metadata']['name']}")
    commit = project.push({"manifests/changes.yaml": config_map("running-changes", "2")})
    project.wait("healthy", commit=commit)
    anew = project.inventory()
    assert anew is not None
    assert anew["metadata"]["uid"] != found["metadata"]["uid"]
    assert anew["data"].keys() == found["data"].keys()
    assert project.config_map("running-stays") == before, "objects are known by their annotation and not touched"
    project.remove("manifests/leaves.yaml")
    project.recovers(pruned=True)


def test_what_somebody_writes_into_an_inventory_is_noticed_and_makes_nobody_elses_object_ours(
    projects: dict[str, Project],
) -> None:
    project = projects["meddled"]
    project.kube.create(project.collection, {"metadata": {"name": "somebodys"}, "data": {"value": "theirs"}})
    found = project.inventory()
    assert found is not None
    keys = [f"{project.namespace}_{name}__ConfigMap" for name in ("somebodys", found["metadata"]["name"])]
    project.kube.patch(f"{project.collection}/{found['metadata']['name']}", {"data": dict.fromkeys(keys, "")})
    project.push({"manifests/changes.yaml": config_map("meddled-changes", "2")})
    project.remove("manifests/leaves.yaml")
    project.recovers(pruned=True)
    assert project.value("somebodys") == "theirs"
    after = project.inventory()
    assert after is not None
    assert after["metadata"]["uid"] == found["metadata"]["uid"], "an inventory is never pruned"
    assert not after["data"].keys() & set(keys), "both are released"


def test_an_inventory_in_git_is_refused_with_its_label_and_without(projects: dict[str, Project]) -> None:
    project = projects["refused"]
    found = project.inventory()
    assert found is not None
    metadata = found["metadata"]
    labelled = config_map("mine").replace("  name: mine\n", f"  name: mine\n  labels: {{{LABEL}: '7-7'}}\n")
    for manifest in (config_map(metadata["name"]), config_map(f"{metadata['name']}.1"), labelled):
        commit = project.push({"manifests/inventory.yaml": manifest})
        sync = project.wait("failed", commit=commit, reason="InventoryRefused")
        assert "remove it from the manifests" in sync["message"]
    after = project.inventory()
    assert after is not None
    assert after["data"].keys() == found["data"].keys()
    assert project.config_map("mine") is None
    commit = project.remove("manifests/inventory.yaml")
    project.wait("healthy", commit=commit)


def test_what_agentk_does_is_told_by_events_on_the_inventory(projects: dict[str, Project]) -> None:
    project = projects["told"]
    assert project.event("Synced", "is applied and healthy: 3 created")["source"] == {"component": "agentk"}
    project.remove("manifests/leaves.yaml")
    project.event("Pruned", f"{project.namespace}/configmap/told-leaves left Git and was deleted")
    project.kube.patch(f"{project.collection}/told-stays", {"data": {"value": "drifted"}})
    assert project.event("DriftCorrected", "told-stays")["type"] == "Normal"
