"""A push changes a real cluster, and what became of it comes back: the whole path on real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def test_a_push_is_applied_changed_pruned_and_kept(installation: Installation, kube: Kube, namespace: str) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    first = repository.push_files(
        {
            **config_files("main", namespace),
            "manifests/web.yaml": deployment("web", 1),
            "manifests/settings.yaml": config_map("settings"),
        }
    )
    agent = installation.agent("main", project="group/config")
    web = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"

    sync = kas.wait_sync("main", state="applied", commit=first)
    assert sync["counts"]["created"] == 2
    assert kube.get(web)["spec"]["replicas"] == 1

    second = repository.push_files({"manifests/web.yaml": deployment("web", 2)})
    kas.webhook("group/config")
    wait_until(lambda: kube.get(web)["spec"]["replicas"] == 2, what="the change has arrived")
    kas.wait_sync("main", state="applied", commit=second)

    third = repository.push_removal("manifests/settings.yaml")
    kas.webhook("group/config")
    wait_until(
        lambda: kube.find(f"/api/v1/namespaces/{namespace}/configmaps/settings") is None, what="the prune has arrived"
    )
    assert kas.wait_sync("main", state="applied", commit=third)["counts"]["pruned"] == 1

    kube.patch(web, {"spec": {"replicas": 7}})
    wait_until(lambda: kube.get(web)["spec"]["replicas"] == 2, what="the drift has been put back")
    events = wait_until(
        lambda: [e for e in kas.get("events", agent="main") if e["reason"] == "DriftCorrected"],
        what="drift is reported",
    )
    assert events[0]["object"]["name"] == "web"

    log = agent.log.read_text()
    assert '"msg":"Synced","mod_name":"gitops","project_id":"group/config"' in log
    assert '"sync_result":"deployment.apps/web configured"' in log
    assert '"msg":"Cluster successfully synced"' in log


@pytest.mark.usefixtures("ready_pods")
def test_a_sync_becomes_healthy_when_its_pods_are_ready(installation: Installation, namespace: str) -> None:
    repository = installation.git.create("group/config")
    commit = repository.push_files({**config_files("well", namespace), "manifests/web.yaml": deployment("well", 1)})
    installation.agent("well", project="group/config")

    installation.kas.wait_sync("well", state="healthy", commit=commit)

    tree = installation.kas.cli("tree", "--agent", "well")
    assert "current" in tree.lower()
