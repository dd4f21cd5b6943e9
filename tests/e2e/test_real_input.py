"""What people really have in Git: each project in one pass, with every object accounted for, twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.installation import Installation
from tests.support.kube import Kube
from tests.support.manifests import config_files
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.git_server import GitServer

pytestmark = pytest.mark.cluster

EXAMPLES = ROOT / "manifests" / "examples"
REAL = ROOT.parent / "shared" / "manifests"

Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""


def folder(name: str) -> Path:
    """Return a folder of other projects' manifests, which stand beside this repository where it is developed."""
    if not (REAL / name).is_dir():
        pytest.skip(f"the manifests of {name} are other projects' data, kept outside this repository, and not here")
    return REAL / name


def files_below(directory: Path) -> dict[str, str | bytes]:
    return {
        f"manifests/{file.relative_to(directory)}": file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.suffix in {".yaml", ".yml"}
    }


def objects_in(files: dict[str, str | bytes]) -> list[dict[str, Any]]:
    """Find every object of every document, those inside lists of any kind too. Names matter, so all values are text."""
    documents = [one for text in files.values() for one in yaml.load_all(text, Loader=yaml.CBaseLoader) if one]
    return [item for one in documents for item in (one["items"] if one["kind"].endswith("List") else [one])]


def names_in(tree: dict[str, Any]) -> set[Name]:
    return {
        (each["object"]["kind"], each["object"]["namespace"], each["object"]["name"])
        for project in tree["projects"]
        for each in project["objects"]
    }


def sync_twice(
    installation: Installation, name: str, files: dict[str, str | bytes], namespace: str, *, state: str
) -> dict[str, Any]:
    """Push, and push a commit that changes nothing; check that both account for every object, and return the tree.

    ``name`` is the agent's: one that another test of the namespace has would find what that has left.
    """
    kas, repository = installation.kas, installation.git.create(f"group/{name}")
    objects = objects_in(files)
    expected = len(objects)
    commit = repository.push_files({**config_files(name, namespace), **files})
    installation.agent(name, project=f"group/{name}")

    sync = kas.wait_sync(name, state=state, commit=commit, within=120)
    nothing = dict.fromkeys(sync["counts"], 0)
    assert sync["counts"] == {**nothing, "total": expected, "created": expected}
    tree: dict[str, Any] = kas.get("tree", agent=name)
    results = [each["result"] for project in tree["projects"] for each in project["objects"]]
    assert results == ["created"] * expected
    assert {(kind, known) for kind, _, known in names_in(tree)} == {(o["kind"], o["metadata"]["name"]) for o in objects}
    history = kas.syncs(name, all="1")
    assert [each["commit"] for each in history] == [commit]
    assert "failed" not in {event["reason"].lower() for event in kas.get("events", agent=name)}

    same = repository.push_files({"README.md": "Nothing that is applied.\n"})
    kas.webhook(f"group/{name}")
    sync = kas.wait_sync(name, state=state, commit=same, within=60)
    assert sync["counts"] == {**nothing, "total": expected, "unchanged": expected}
    return tree


@pytest.mark.usefixtures("ready_pods")
def test_the_example_is_synced_and_runs(installation: Installation, namespace: str) -> None:
    files = files_below(EXAMPLES / "manifest-project")

    tree = sync_twice(installation, "example", files, namespace, state="healthy")

    assert ("Deployment", namespace, "nginx-deployment") in names_in(tree)


@pytest.mark.usefixtures("ready_pods")
def test_online_boutique_is_synced_and_runs(installation: Installation, namespace: str) -> None:
    files = files_below(folder("online-boutique"))

    sync_twice(installation, "boutique", files, namespace, state="healthy")

    # The tree of the API after health is known: everything current, nothing left in progress.
    tree = installation.kas.get("tree", agent="boutique")
    unwell = [each for project in tree["projects"] for each in project["objects"] if each["health"] != "current"]
    assert unwell == []
    assert len(names_in(tree)) == 35


def test_kube_prometheus_is_synced_in_one_pass(
    tmp_path: Path, git_server: GitServer, own_control_plane: ControlPlane
) -> None:
    """Its own control plane: its APIService, whose server never comes, keeps every namespace from terminating."""
    files = files_below(folder("kube-prometheus"))
    kube = Kube(own_control_plane.kubeconfig)
    with Installation(tmp_path, git_server, own_control_plane.kubeconfig) as installation:
        sync_twice(installation, "prometheus", files, "monitoring", state="applied")

        assert kube.get("/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/k8s")
        log = (installation.directory / "agents" / "agentk-prometheus.log").read_text()
        assert '"level":"error"' not in log
        assert log.count('"msg":"Cluster successfully synced"') == 1
        assert log.count('"msg":"Not affected by the revision"') == 1
    kube.close()
