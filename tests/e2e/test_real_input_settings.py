"""What a configuration may ask of a project beside its files: a ref, rehearsals, what is pruned and what is kept."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import installed
from tests.support.manifests import config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.git_repository import GitRepository
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT = "settings"
INVENTORY = "cli-utils.sigs.k8s.io/inventory-id"


@dataclass(frozen=True)
class World:
    """One agent; each test adds a project of its own to its configuration."""

    installation: Installation
    configuration: GitRepository
    entries: list[dict[str, object]] = field(default_factory=list)

    def create(self, project: str) -> GitRepository:
        return self.installation.git.create(project)

    def configure(self, project: str, **settings: object) -> None:
        """Put a project into the configuration, with these settings and no others."""
        self.entries[:] = [entry for entry in self.entries if entry["id"] != project]
        self.entries.append({"id": project, "paths": [{"glob": "/manifests/**/*.yaml"}], **settings})
        # JSON is YAML.
        text = json.dumps({"gitops": {"manifest_projects": self.entries}})
        self.configuration.push_files({f".gitlab/agents/{AGENT}/config.yaml": text})
        self.installation.kas.webhook("group/config")

    def push(self, repository: GitRepository, project: str, files: dict[str, str]) -> str:
        commit = repository.push_files({f"manifests/{name}": text for name, text in files.items()})
        self.installation.kas.webhook(project)
        return commit

    def remove(self, repository: GitRepository, project: str, *names: str) -> str:
        commit = repository.push_removal(*(f"manifests/{name}" for name in names))
        self.installation.kas.webhook(project)
        return commit

    def wait(self, project: str, commit: str, state: str = "healthy", *, reason: str = "") -> dict[str, Any]:
        return self.installation.kas.wait_sync(AGENT, state=state, project=project, commit=commit, reason=reason)

    def inventories(self, kube: Kube, project: str) -> list[dict[str, Any]]:
        """Return the ConfigMaps that are the project's inventory, wherever they are."""
        (sync,) = [sync for sync in self.installation.kas.syncs(AGENT) if sync["project"] == project]
        selector = f"{INVENTORY}={sync['agent']['id']}-{sync['project_id']}"
        found: list[dict[str, Any]] = kube.get("/api/v1/configmaps", labelSelector=selector)["items"]
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[World]:
    with installed(tmp_path_factory.mktemp("settings"), control_plane.kubeconfig) as installation:
        configuration = installation.git.create("group/config")
        configuration.push_files({f".gitlab/agents/{AGENT}/config.yaml": "gitops: {}\n"})
        installation.agent(AGENT, project="group/config")
        yield World(installation, configuration)


def value(kube: Kube, namespace: str, name: str) -> str | None:
    found = kube.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    return str(found["data"]["value"]) if found else None


def annotated(name: str, annotation: str, text: str) -> str:
    return config_map(name).replace("metadata:\n", f"metadata:\n  annotations: {{{annotation}: {text}}}\n")


def test_a_commit_stays_what_is_synced_and_a_tag_is_followed(world: World, kube: Kube, namespace: str) -> None:
    project = "group/refs"
    repository = world.create(project)
    first = world.push(repository, project, {"a.yaml": config_map("by-ref", "1")})
    repository.tag("release", annotated=True)
    second = world.push(repository, project, {"a.yaml": config_map("by-ref", "2")})

    world.configure(project, default_namespace=namespace, ref={"commit": first})
    assert world.wait(project, first)["ref"] == f"commit {first}"
    assert value(kube, namespace, "by-ref") == "1"

    world.configure(project, default_namespace=namespace, ref={"branch": "main"})
    assert world.wait(project, second)["ref"] == "branch main"
    assert value(kube, namespace, "by-ref") == "2"

    world.configure(project, default_namespace=namespace, ref={"tag": "release"})
    assert world.wait(project, first)["ref"] == "tag release"
    assert value(kube, namespace, "by-ref") == "1"
    repository.tag("release")
    world.installation.kas.webhook(project)
    world.wait(project, second)
    assert value(kube, namespace, "by-ref") == "2"


def test_a_project_may_bring_the_namespace_that_its_inventory_lives_in(world: World, kube: Kube) -> None:
    project, name = "group/own-namespace", f"own-{secrets.token_hex(3)}"
    repository = world.create(project)
    world.configure(project, default_namespace=name)
    commit = world.push(
        repository,
        project,
        {
            "a.yaml": config_map("inside"),
            "z.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n",
        },
    )
    sync = world.wait(project, commit)

    assert (sync["counts"]["created"], sync["counts"]["total"]) == (2, 2)
    assert value(kube, name, "inside") == "1"
    (inventory,) = world.inventories(kube, project)
    assert inventory["metadata"]["namespace"] == name
    assert set(inventory["data"]) == {f"{name}_inside__ConfigMap", f"_{name}__Namespace"}
    kube.delete(f"/api/v1/namespaces/{name}")


WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: NAMEs.example.com}
spec:
  group: example.com
  names: {kind: KIND, plural: NAMEs, singular: NAME}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
"""


def test_a_custom_resource_comes_in_one_commit_with_its_definition(world: World, kube: Kube, namespace: str) -> None:
    project, name = "group/custom", f"widget{secrets.token_hex(3)}"
    kind = name.capitalize()
    repository = world.create(project)
    world.configure(project, default_namespace=namespace)
    commit = world.push(
        repository,
        project,
        {
            "a.yaml": f"apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {{size: 3}}\n",
            "b.yaml": WIDGETS.replace("KIND", kind).replace("NAME", name),
        },
    )
    assert world.wait(project, commit)["counts"]["created"] == 2
    one = f"/apis/example.com/v1/namespaces/{namespace}/{name}s/one"
    assert kube.get(one)["spec"] == {"size": 3}

    kube.patch(one, {"spec": {"size": 4}})
    wait_until(lambda: kube.get(one)["spec"] == {"size": 3}, what="a custom resource's drift is put back too")
    kube.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}s.example.com")


@pytest.mark.parametrize("strategy", ["client", "server"])
def test_a_rehearsal_changes_nothing(world: World, kube: Kube, namespace: str, strategy: str) -> None:
    project, name = f"group/rehearsal-{strategy}", f"rehearsed-{strategy}"
    repository = world.create(project)
    world.configure(project, default_namespace=namespace, dry_run_strategy=strategy)
    commit = world.push(repository, project, {"a.yaml": config_map(name), "b.yaml": config_map(f"{name}-2")})
    sync = world.wait(project, commit, "applied", reason="DryRun")

    assert f"dry_run_strategy is {strategy}: nothing was changed" in sync["message"]
    assert sync["counts"]["created"] == 2
    assert value(kube, namespace, name) is None
    assert world.inventories(kube, project) == []

    world.configure(project, default_namespace=namespace)
    world.wait(project, commit)
    kept = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")["metadata"]["resourceVersion"]
    world.configure(project, default_namespace=namespace, dry_run_strategy=strategy)
    second = repository.push_files({"manifests/a.yaml": config_map(name, "2")})
    third = world.remove(repository, project, "b.yaml")
    sync = world.wait(project, third, "applied", reason="DryRun")
    assert (sync["counts"]["configured"], sync["counts"]["pruned"]) == (1, 1), second
    assert kube.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")["metadata"]["resourceVersion"] == kept
    assert value(kube, namespace, f"{name}-2") == "1"


def test_without_prune_what_leaves_git_stays_until_it_is_allowed(world: World, kube: Kube, namespace: str) -> None:
    project = "group/unpruned"
    repository = world.create(project)
    world.configure(project, default_namespace=namespace, prune=False)
    files = {"a.yaml": config_map("unpruned-stays"), "b.yaml": config_map("unpruned-leaves")}
    world.wait(project, world.push(repository, project, files))

    commit = world.remove(repository, project, "b.yaml")
    sync = world.wait(project, commit)
    assert (sync["counts"]["skipped"], sync["counts"]["pruned"]) == (1, 0)
    assert value(kube, namespace, "unpruned-leaves") == "1"

    world.configure(project, default_namespace=namespace)
    wait_until(lambda: value(kube, namespace, "unpruned-leaves") is None, what="it is pruned as soon as that is wanted")
    assert value(kube, namespace, "unpruned-stays") == "1"


def test_annotations_keep_objects_that_leave_git(world: World, kube: Kube, namespace: str) -> None:
    project = "group/kept"
    repository = world.create(project)
    world.configure(project, default_namespace=namespace)
    files = {
        "keep.yaml": annotated("annotated-keep", "cli-utils.sigs.k8s.io/on-remove", "keep"),
        "detach.yaml": annotated("annotated-detach", "client.lifecycle.config.k8s.io/deletion", "detach"),
        "plain.yaml": config_map("annotated-not"),
        "stays.yaml": config_map("annotated-stays"),
    }
    world.wait(project, world.push(repository, project, files))

    sync = world.wait(project, world.remove(repository, project, "keep.yaml", "detach.yaml", "plain.yaml"))

    assert (sync["counts"]["pruned"], sync["counts"]["skipped"]) == (1, 2)
    assert value(kube, namespace, "annotated-not") is None
    assert [value(kube, namespace, name) for name in ("annotated-keep", "annotated-detach")] == ["1", "1"]
    (inventory,) = world.inventories(kube, project)
    assert set(inventory["data"]) == {f"{namespace}_annotated-stays__ConfigMap"}
