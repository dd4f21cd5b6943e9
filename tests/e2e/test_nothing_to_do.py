"""What changes nothing costs nothing: no write reaches the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def versions(kube: Kube, namespace: str) -> dict[str, str]:
    """Return what changes with every write of agentk to what it owns, its inventory included."""
    maps = kube.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    found = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in maps}
    for one in kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"]:
        # Controllers write the status of a Deployment, and so its resourceVersion; of that agentk is innocent.
        ours = [entry["time"] for entry in one["metadata"]["managedFields"] if entry["manager"] == "agentk"]
        found[one["metadata"]["name"]] = str((one["metadata"]["generation"], ours))
    return found


def test_neither_an_unrelated_commit_nor_a_restart_writes_anything(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    first = repository.push_files(
        {
            **config_files("idle", namespace),
            **{f"manifests/{number}.yaml": config_map(f"map-{number}") for number in range(30)},
            "manifests/web.yaml": deployment("web", 0),
        }
    )
    agent = installation.agent("idle", project="group/config")
    kas.wait_sync("idle", state="healthy", commit=first)
    before = versions(kube, namespace)
    assert len(before) == 33  # with the inventory and the root certificate

    unrelated = repository.push_files({"README.md": "nothing that is selected"})
    kas.webhook("group/config")
    sync = kas.wait_sync("idle", state="healthy", commit=unrelated)
    assert (sync["reason"], sync["counts"]["unchanged"], sync["counts"]["total"]) == ("NotAffected", 31, 31)

    same = repository.push_files({"manifests/3.yaml": "# the same, written anew\n" + config_map("map-3")})
    kas.webhook("group/config")
    assert kas.wait_sync("idle", state="healthy", commit=same)["counts"]["unchanged"] == 31

    agent.stop()
    ended = agent.log.read_text().count("Cluster successfully synced")
    agent.start()
    wait_until(
        lambda: agent.log.read_text().count("Cluster successfully synced") > ended,
        what="the restarted agent has synced",
    )

    assert versions(kube, namespace) == before
