"""What a manifest project's author learns of the cluster: of what is not the project's, and of Secrets, nothing."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api_door import ApiDoor
from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

MUTATION = "config.kubernetes.io/apply-time-mutation"
DEPENDS_ON = "config.kubernetes.io/depends-on"
WORD = "hearty-breakfast"
ENCODED = base64.b64encode(WORD.encode()).decode()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """One kas for the tests of this file; each has an agent of its own."""
    with installed(tmp_path_factory.mktemp("reading"), control_plane.kubeconfig) as found:
        yield found


@pytest.fixture
def vault(kube: Kube) -> Iterator[str]:
    """A namespace of somebody else, with the Secret ``keys`` and the ConfigMap ``plans`` in it."""
    name = f"vault-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    metadata = {"name": "keys", "namespace": name}
    kube.create(
        f"/api/v1/namespaces/{name}/secrets",
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"word": ENCODED}},
    )
    kube.create(
        f"/api/v1/namespaces/{name}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plans"}, "data": {"value": WORD}},
    )
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def door(started_control_plane: ControlPlane, tmp_path: Path) -> Iterator[ApiDoor]:
    """A way to the API server on which is seen what it says."""
    with ApiDoor(started_control_plane, tmp_path / "door") as found:
        yield found


def driven(
    running: Installation, kube: Kube, namespace: str, name: str, *, more: str = "", kubeconfig: Path | None = None
) -> Driven:
    """Start an agent for one project, with ``more`` keys of its own, whose first revision is healthy."""
    config = running.git.create(f"config/{name}")
    config.push_files(config_files(name, namespace, f"group/{name}", more=more))
    one = Driven(running.kas, name, f"group/{name}", running.git.create(f"group/{name}"), kube, namespace)
    one.repository.push_files({"manifests/first.yaml": config_map(f"first-{name}")})
    running.agent(name, project=f"config/{name}", kubeconfig=kubeconfig)
    one.wait("healthy")
    return one


def filled(kind: str, name: str, source: str, *, target: str = "$.data.value", **more: str) -> dict[str, str]:
    """Return the annotation that fills a field."""
    ref = {"apiVersion": "v1", "kind": kind, "name": name, **more}
    return {MUTATION: json.dumps([{"sourceRef": ref, "sourcePath": source, "targetPath": target}])}


def manifest(name: str, annotations: dict[str, str], *, kind: str = "ConfigMap", **data: str) -> str:
    """Return an object of the core group with annotations."""
    metadata = {"name": name, "annotations": annotations}
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data})


def diff_of_branch(one: Driven, branch: str, files: dict[str, str]) -> str:
    """Push a branch that nobody merges; return everything that ``kas diff`` prints of it."""
    one.repository.branch(branch)
    one.repository.push_files(files)
    one.repository.checkout("main")
    ran = one.kas.run_cli("diff", one.project, "--agent", one.agent, "--ref", branch)
    plain = one.kas.run_cli("diff", one.project, "--agent", one.agent, "--ref", branch, "-o", "json")
    assert ran.returncode in {0, 1, 2}, ran.stderr
    return ran.stdout + ran.stderr + plain.stdout + plain.stderr


def said(one: Driven) -> dict[str, Any]:
    """Return each object's entry of the status, by its file."""
    tree: dict[str, Any] = one.kas.get("tree", agent=one.agent)
    found = [item for project in tree["projects"] if project["project"] == one.project for item in project["objects"]]
    return {item["path"].removeprefix("manifests/").removesuffix(".yaml"): item for item in found}


def test_a_diff_of_a_branch_that_nobody_merged_shows_nothing_of_a_secret(
    running: Installation, kube: Kube, namespace: str, vault: str
) -> None:
    one = driven(running, kube, namespace, "prying")
    shown = diff_of_branch(
        one,
        "prying",
        {
            "manifests/a.yaml": manifest("a", filled("Secret", "keys", "$.data.word", namespace=vault), value="x"),
            "manifests/b.yaml": manifest("b", filled("ConfigMap", "plans", "$.data.value", namespace=vault), value="x"),
        },
    )
    assert "configmap/a" in shown
    assert WORD not in shown
    assert ENCODED not in shown


def test_what_a_secret_filled_once_is_shown_by_no_later_diff(
    running: Installation, kube: Kube, namespace: str, door: ApiDoor
) -> None:
    any_target = "    mutation_from_secrets: any\n"
    one = driven(running, kube, namespace, "later", more=any_target, kubeconfig=door.kubeconfig)
    keys = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": {"word": ENCODED}})
    holder = manifest("holder", filled("Secret", "keys", "$.data.word"), value="x", beside="1")
    copy = manifest("copy", filled("ConfigMap", "holder", "$.data.value"), value="x")
    one.wait("healthy", commit=one.push({"manifests/keys.yaml": keys, "manifests/holder.yaml": holder}))
    assert one.value("holder") == ENCODED
    one.wait("healthy", commit=one.push({"manifests/copy.yaml": copy}))
    assert one.value("copy") == ENCODED

    door.said = bytearray()
    shown = diff_of_branch(
        one,
        "laid-open",
        {
            # The field is Git's again; another object is filled from the one that was; the Secret itself is changed.
            "manifests/holder.yaml": manifest("holder", {}, value="open", beside="2"),
            "manifests/copy.yaml": manifest("copy", {}, value="open"),
            "manifests/more.yaml": manifest("more", filled("ConfigMap", "copy", "$.data.value"), value="x"),
            "manifests/keys.yaml": keys.replace(ENCODED, "b3RoZXI="),
        },
    )
    assert "/data/beside" in shown
    assert "/data/word" in shown
    assert WORD not in shown
    assert ENCODED not in shown
    # Not even agentk has it.
    assert b"PartialObjectMetadata" in door.said
    assert ENCODED.encode() not in door.said
    door.said = None

    # Left to others and no longer filled, the value stays in the object: for as long as that exists it is not shown.
    left = {"agentk.io/ignore-fields": "/data/value"}
    commit = one.push({"manifests/holder.yaml": manifest("holder", left, value="open", beside="2")})
    one.wait("healthy", commit=commit)
    assert one.value("holder") == ENCODED
    door.said = bytearray()
    shown = diff_of_branch(
        one,
        "two-later",
        {
            "manifests/holder.yaml": manifest("holder", {}, value="o", beside="3"),
            "manifests/more.yaml": manifest("more", filled("ConfigMap", "copy", "$.data.value"), value="x"),
        },
    )
    assert "/data/beside" in shown
    assert "configmap/more" in shown
    assert ENCODED not in shown
    assert ENCODED.encode() not in door.said


def test_a_confined_project_reads_and_learns_of_nothing_outside_its_namespaces(
    running: Installation, kube: Kube, namespace: str, vault: str
) -> None:
    one = driven(running, kube, namespace, "confined", more=f"    allowed_namespaces: [{namespace}]\n")
    kube.create(
        f"/api/v1/namespaces/{namespace}/secrets",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "near"}, "data": {"word": ENCODED}},
    )
    there, nowhere = ({DEPENDS_ON: f"/namespaces/{vault}/ConfigMap/{name}"} for name in ("plans", "never"))
    files = {
        "secret": manifest("secret", filled("Secret", "keys", "$.data.word", namespace=vault), value="x"),
        "plans": manifest("plans", filled("ConfigMap", "plans", "$.data.value", namespace=vault), value="x"),
        "into-map": manifest("into-map", filled("Secret", "near", "$.data.word"), value="x"),
        "into-label": manifest(
            "into-label", filled("Secret", "near", "$.data.word", target="$.metadata.labels.x"), kind="Secret"
        ),
        "into-secret": manifest("into-secret", filled("Secret", "near", "$.data.word"), kind="Secret", value=""),
        "after-one": manifest("after-one", there),
        "after-none": manifest("after-none", nowhere),
        "after-role": manifest("after-role", {DEPENDS_ON: "rbac.authorization.k8s.io/ClusterRole/cluster-admin"}),
        "outside": config_map("outside", namespace=vault),
        "taken": config_map("plans", "taken", namespace=vault),
        "wide": json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{vault}-more"}}),
    }
    commit = one.push({f"manifests/{name}.yaml": text for name, text in files.items()})
    sync = one.wait("failed", commit=commit)
    assert (sync["counts"]["failed"], sync["counts"]["created"]) == (10, 1)

    objects = said(one)
    refused = {name: objects[name]["reason"] for name in files if name != "into-secret"}
    assert set(refused.values()) == {"OutsideAllowedNamespaces", "SourceRefused"}
    assert {refused[name] for name in ("outside", "taken", "wide")} == {"OutsideAllowedNamespaces"}
    assert kube.find(f"/api/v1/namespaces/{vault}/configmaps/outside") is None
    assert kube.get(f"/api/v1/namespaces/{vault}/configmaps/plans")["data"] == {"value": WORD}
    assert kube.find(f"/api/v1/namespaces/{vault}-more") is None
    assert objects["after-one"]["message"].replace("plans", "never") == objects["after-none"]["message"]
    assert kube.get(f"/api/v1/namespaces/{namespace}/secrets/into-secret")["data"] == {"value": ENCODED}
    assert WORD not in json.dumps(objects)
    assert ENCODED not in json.dumps(objects)
    assert all(one.config_map(name) is None for name in files)


def test_a_project_without_bounds_takes_fields_from_its_own_objects_alone_and_secrets_stay_in_secrets(
    running: Installation, kube: Kube, namespace: str, vault: str
) -> None:
    one = driven(running, kube, namespace, "unbounded")
    own = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": {"word": ENCODED}})
    files = {
        "own": own,
        "foreign": manifest("foreign", filled("Secret", "keys", "$.data.word", namespace=vault), kind="Secret"),
        "plans": manifest("plans", filled("ConfigMap", "plans", "$.data.value", namespace=vault), value="x"),
        "into-map": manifest("into-map", filled("Secret", "own", "$.data.word"), value="x"),
        "into-secret": manifest("into-secret", filled("Secret", "own", "$.data.word"), kind="Secret", value=""),
        "from-first": manifest("from-first", filled("ConfigMap", "first-unbounded", "$.data.value"), value="x"),
    }
    commit = one.push({f"manifests/{name}.yaml": text for name, text in files.items()})
    one.wait("failed", commit=commit)
    objects = said(one)
    assert {name for name in files if objects[name]["reason"] == "SourceRefused"} == {"foreign", "plans", "into-map"}
    wait_until(lambda: one.value("from-first") == "1", what="a field of the project's own object is filled")
    assert kube.get(f"/api/v1/namespaces/{namespace}/secrets/into-secret")["data"] == {"value": ENCODED}
    # A foreign object does not become the project's by standing in its manifests.
    claimed = {**json.loads(own), "metadata": {"name": "keys", "namespace": vault}}
    commit = one.push({"manifests/claimed.yaml": json.dumps(claimed)})
    one.wait("failed", commit=commit)
    wait_until(lambda: said(one).get("foreign", {}).get("result") == "skipped", what="its source was refused")
    assert kube.find(f"/api/v1/namespaces/{namespace}/secrets/foreign") is None
