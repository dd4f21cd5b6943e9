"""Whoever may write ConfigMaps somewhere writes inventories: nothing is deleted, adopted or hidden, and it is named.

All projects share one agent, which was away while their inventories were forged and Git went on.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agentk.apply.model import Kind
from agentk.apply.names import INVENTORY_KEY
from agentk.apply.traits import written
from agentk.kube.live import live_of
from tests.support.driven import Driven, installed
from tests.support.manifests import config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Agent, Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
LABEL = "cli-utils.sigs.k8s.io/inventory-id"
OWNER = "config.k8s.io/owning-inventory"
AGENT = "forger"
SETTINGS = {
    "adopter": "    inventory_policy: adopt_all\n    prune_confirmation: never\n",
    "confined": (
        "    inventory_policy: adopt_if_no_inventory\n    allowed_namespaces: [{namespace}]\n"
        "    prune_confirmation: never\n"
    ),
    "hidden": "",
    "taken": "",
    "swapped": "",
    "doubled": "",
    "moved": "    inventory_namespace: {elsewhere}\n",
    "endless": "",
    "names": "",
    "secret": "",
    "grabs": "",
}
ROOT = "-----BEGIN PASSWORD----- hunter2"


class Project(Driven):
    """A project whose objects are named after it."""

    @property
    def name(self) -> str:
        return self.project.rpartition("/")[2]

    @property
    def inventory_id(self) -> str:
        found = next(one for one in self.kas.get("agents") if one["name"] == self.agent)
        sync = self.sync()
        return f"{found['id']}-{sync['project_id']}"

    def collection(self, namespace: str = "") -> str:
        return f"/api/v1/namespaces/{namespace or self.namespace}/configmaps"

    def key(self, which: str, namespace: str = "") -> str:
        return f"{namespace or self.namespace}_{self.name}-{which}__ConfigMap"

    def head(self, namespace: str = "") -> dict[str, Any]:
        """Return its inventory, known by what it remembers."""
        found: list[dict[str, Any]] = self.kube.get(self.collection(namespace), labelSelector=LABEL)["items"]
        return next(one for one in found if self.key("stays") in one.get("data", {}))

    def forge(self, data: Mapping[str, str | None], **metadata: Any) -> None:  # noqa: ANN401 - JSON
        """Write into its inventory, as whoever may edit ConfigMaps there can."""
        body = {"metadata": metadata, "data": data}
        self.kube.patch(f"{self.collection()}/{self.head()['metadata']['name']}", body)

    def is_applied(self) -> bool:
        return self.value(f"{self.name}-changes") == "2"


def config(namespace: str, elsewhere: str) -> dict[str, str]:
    entries = "".join(
        f"  - id: forged/{name}\n    default_namespace: {namespace}\n    paths: [{{glob: '/manifests/**/*.yaml'}}]\n"
        + more.format(namespace=namespace, elsewhere=elsewhere)
        for name, more in SETTINGS.items()
    )
    return {f".gitlab/agents/{AGENT}/config.yaml": f"gitops:\n  manifest_projects:\n{entries}"}


def plain(project: Project, found: dict[str, Any], manifest: str) -> str:
    """Return the entry that an agentk of before would have written of an object as it is now: anybody can."""
    body = yaml.safe_load(manifest)
    agent = found["metadata"]["labels"]["agentk.io/agent"]
    body["metadata"] |= {
        "namespace": project.namespace,
        "labels": {"agentk.io/agent": agent},
        "annotations": {OWNER: f"{project.head()['metadata']['labels'][LABEL]}"},
    }
    live = live_of(CONFIG_MAP, found["metadata"])
    return f"{blake2b(written(body), digest_size=8).hexdigest()}:{live.fingerprint or ''}:{live.uid}"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("forged"), control_plane.kubeconfig) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere(kube: Kube) -> str:
    """A namespace of other people."""
    name = f"elsewhere-{secrets.token_hex(4)}"
    kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="module")
def agent(installation: Installation, namespace: str, elsewhere: str) -> Agent:
    installation.git.create("config/forger").push_files(config(namespace, elsewhere))
    return installation.agent(AGENT, project="config/forger", start=False)


@pytest.fixture(scope="module")
def projects(
    installation: Installation, agent: Agent, kube: Kube, namespace: str, elsewhere: str
) -> dict[str, Project]:
    """All projects, after agentk was away while somebody forged and Git went on."""
    found: dict[str, Project] = {}
    for name in SETTINGS:
        repository = installation.git.create(f"forged/{name}")
        found[name] = Project(installation.kas, AGENT, f"forged/{name}", repository, kube, namespace)
        files = {f"manifests/{which}.yaml": config_map(f"{name}-{which}") for which in ("stays", "changes")}
        repository.push_files(files)
    found["secret"].repository.push_files({"manifests/secret.yaml": secret_manifest()})
    stranger = {"metadata": {"name": "taken-before"}, "data": {"value": "theirs"}}
    kube.create(found["taken"].collection(), stranger)
    agent.start()
    for project in found.values():
        project.wait("healthy")
    found["taken"].push({"manifests/before.yaml": config_map("taken-before", "ours")})
    found["taken"].wait("failed", reason="NotInInventory")
    agent.stop()
    for project in found.values():
        harm(project, elsewhere)
        project.push({"manifests/changes.yaml": config_map(f"{project.name}-changes", "2")})
    agent.start()
    return found


def secret_manifest() -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: secret-stays\nstringData:\n  password: '{ROOT}'\n"


def harm(project: Project, elsewhere: str) -> None:
    """Do to the inventory what the project is named after."""
    kube, name = project.kube, project.name
    match name:
        case "adopter" | "confined":
            for where in (project.namespace, elsewhere):
                body = {"metadata": {"name": f"{name}-strangers"}, "data": {"value": "theirs"}}
                kube.create(project.collection(where), body)
            space = {"metadata": {"name": f"{name}-{elsewhere}"}}
            kube.create("/api/v1/namespaces", space)
            keys = [project.key("strangers"), project.key("strangers", elsewhere), f"_{name}-{elsewhere}__Namespace"]
            project.forge(dict.fromkeys(keys, ""))
        case "hidden":
            path = f"{project.collection()}/hidden-stays"
            kube.patch(path, {"data": {"value": "evil"}})
            project.forge({project.key("stays"): plain(project, kube.get(path), config_map("hidden-stays"))})
        case "taken":
            live = kube.get(f"{project.collection()}/taken-before")
            value = f"{'0' * 16}:{'0' * 16}:{live['metadata']['uid']}"
            project.forge({f"{project.namespace}_taken-before__ConfigMap": value})
        case "swapped":
            # Entries that agentk itself wrote, of another object and put under another name.
            data = project.head()["data"]
            kube.patch(f"{project.collection()}/swapped-stays", {"data": {"value": "evil"}})
            project.forge({project.key("stays"): data[project.key("changes")]})
        case "doubled":
            head = project.head()
            labels = head["metadata"]["labels"]
            for where, copy in ((project.namespace, "a-copy"), (elsewhere, head["metadata"]["name"])):
                copied = {"metadata": {"name": copy, "labels": labels}, "data": {"nonsense": "1"}}
                kube.create(project.collection(where), copied)
            shard = {LABEL: f"{labels[LABEL]}.shard", "agentk.io/inventory-shard": "2"}
            kube.create(project.collection(), {"metadata": {"name": "a-shard", "labels": shard}, "data": {"no": ""}})
        case "names":
            name = f'["","Secret","{project.namespace}","{"x" * 200_000}"]'
            project.forge({f"{project.namespace}_..__ConfigMap": "", "hashed.00": f":{name}"})
        case "endless":
            project.forge({}, annotations={"agentk.io/inventory-shards": "9" * 5000})


@pytest.mark.parametrize("name", ["adopter", "confined"])
def test_keys_that_somebody_wrote_into_the_inventory_delete_nothing(
    projects: dict[str, Project], elsewhere: str, name: str
) -> None:
    project = projects[name]
    wait_until(project.is_applied, what="Git goes on")
    wait_until(
        lambda: not [key for key in project.head()["data"] if "strangers" in key],
        what="what the inventory claims and nobody owns is forgotten",
    )
    project.wait("healthy")
    for where in (project.namespace, elsewhere):
        found = project.kube.get(f"{project.collection(where)}/{name}-strangers")
        assert found["data"] == {"value": "theirs"}
        assert "deletionTimestamp" not in found["metadata"]
        assert "annotations" not in found["metadata"], "nor is it adopted"
    space = project.kube.get(f"/api/v1/namespaces/{name}-{elsewhere}")
    assert "deletionTimestamp" not in space["metadata"]


@pytest.mark.parametrize("name", ["hidden", "swapped"])
def test_a_forged_or_replayed_entry_hides_no_drift(projects: dict[str, Project], name: str) -> None:
    project = projects[name]
    wait_until(lambda: project.value(f"{name}-stays") == "1", what="what somebody changed is put back")
    project.wait("healthy")


def test_a_forged_uid_adopts_nothing_under_must_match(projects: dict[str, Project]) -> None:
    project = projects["taken"]
    wait_until(project.is_applied, what="the others are applied")
    project.wait("failed", reason="NotInInventory")
    assert project.value("taken-before") == "theirs"


def test_copies_of_an_inventory_neither_stop_a_project_nor_become_its_inventory_and_are_named(
    projects: dict[str, Project], elsewhere: str
) -> None:
    project = projects["doubled"]
    wait_until(project.is_applied, what="Git goes on")
    sync = project.wait("healthy", reason="InventoryElsewhere")
    head = project.head()
    for place in (
        f"{project.namespace}/a-copy",
        f"{project.namespace}/a-shard",
        f"{elsewhere}/{head['metadata']['name']}",
    ):
        assert place in sync["message"]
    assert "inventory_namespace" in sync["message"]
    project.goes_on()


def test_an_inventory_is_where_the_configuration_says(projects: dict[str, Project], elsewhere: str) -> None:
    project = projects["moved"]
    project.wait("healthy")
    assert project.head(elsewhere)["metadata"]["namespace"] == elsewhere
    found = project.kube.get(project.collection(), labelSelector=LABEL)["items"]
    assert not [one for one in found if project.key("stays") in one.get("data", {})]
    project.remove("manifests/stays.yaml")
    wait_until(lambda: project.config_map("moved-stays") is None, what="what left Git is pruned")


def test_an_endless_list_of_shards_stops_the_project_alone_and_is_named(projects: dict[str, Project]) -> None:
    project = projects["endless"]
    sync = project.wait("failed", reason="InventoryUnreadable")
    assert "not numbers separated by commas" in sync["message"]
    project.forge({}, annotations={"agentk.io/inventory-shards": None})
    project.goes_on()


def test_names_that_no_object_can_have_stop_pruning_alone_and_are_named(projects: dict[str, Project]) -> None:
    project = projects["names"]
    wait_until(project.is_applied, what="Git goes on")
    sync = project.wait("failed", reason="InventoryDamaged")
    assert "names no object" in sync["message"]
    project.forge({f"{project.namespace}_..__ConfigMap": None, "hashed.00": None})
    project.goes_on()


def test_an_inventory_holds_nothing_to_guess_a_secret_by(projects: dict[str, Project]) -> None:
    project = projects["secret"]
    project.wait("healthy")
    path = f"/api/v1/namespaces/{project.namespace}/secrets/secret-stays"
    live = project.kube.get(path)
    assert b64decode(live["data"]["password"]).decode() == ROOT
    body = yaml.safe_load(secret_manifest())
    body["metadata"] |= {
        "namespace": project.namespace,
        "labels": {"agentk.io/agent": live["metadata"]["labels"]["agentk.io/agent"]},
        "annotations": {OWNER: live["metadata"]["annotations"][OWNER]},
    }
    guess = blake2b(written(body), digest_size=8).hexdigest()
    value = project.head()["data"][f"{project.namespace}_secret-stays__Secret"]
    assert value, "what was applied is remembered"
    assert guess not in value


def test_the_key_of_inventories_is_nobodys_to_bring_or_to_take(projects: dict[str, Project]) -> None:
    project = projects["grabs"]
    key = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {INVENTORY_KEY}\n"
    sync_of = project.push({"manifests/key.yaml": key})
    assert INVENTORY_KEY in project.wait("failed", commit=sync_of, reason="Protected")["message"]
    mutation = f"""\
apiVersion: v1
kind: Secret
metadata:
  name: grabs-copy
  annotations:
    config.kubernetes.io/apply-time-mutation: |
      - sourceRef: {{kind: Secret, name: {INVENTORY_KEY}, namespace: default}}
        sourcePath: $.data.key
        targetPath: $.data.key
data: {{key: ''}}
"""
    commit = project.push({"manifests/key.yaml": mutation})
    sync = project.wait("failed", commit=commit)
    assert INVENTORY_KEY in sync["message"]
    assert project.kube.find(f"/api/v1/namespaces/{project.namespace}/secrets/grabs-copy") is None


def test_a_restart_applies_nothing_anew(projects: dict[str, Project], agent: Agent) -> None:
    project = projects["hidden"]
    project.wait("healthy")
    before = {name: project.config_map(name) for name in ("hidden-stays", "hidden-changes")}
    agent.stop()
    agent.start()
    wait_until(lambda: project.sync()["counts"]["unchanged"] == 2, what="all is known to be as it was applied")
    assert {name: project.config_map(name) for name in before} == before
