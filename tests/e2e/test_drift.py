"""What others change in the cluster: put back or left, and told with who did it, by both programs as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def events(installation: Installation, agent: str, reason: str) -> list[dict[str, Any]]:
    return [event for event in installation.kas.get("events", agent=agent) if event["reason"] == reason]


def objects(installation: Installation, agent: str) -> dict[str, dict[str, Any]]:
    tree = installation.kas.get("tree", agent=agent)
    return {one["object"]["name"]: one for project in tree["projects"] for one in project["objects"]}


def test_drift_is_told_with_who_did_it_even_if_nobody_was_there_to_see_it(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    repository = installation.git.create("group/named")
    commit = repository.push_files({**config_files("named", namespace), "manifests/a.yaml": config_map("named")})
    agent = installation.agent("named", project="group/named")
    installation.kas.wait_sync("named", state="healthy", commit=commit)
    path = f"/api/v1/namespaces/{namespace}/configmaps/named"

    agent.stop()
    kube.apply(
        path, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}}, manager="kubectl", force=True
    )
    agent.start()
    wait_until(lambda: kube.get(path)["data"] == {"value": "1"}, what="the change is put back")
    (told,) = wait_until(lambda: events(installation, "named", "DriftCorrected"), what="it is told")
    assert "'kubectl' applied .data.value at 20" in told["message"]

    def fight() -> list[dict[str, Any]]:
        kube.patch(path, {"data": {"value": "again"}})
        return events(installation, "named", "DriftFight")

    (told,) = wait_until(fight, what="the fight is told", within=60)
    assert (
        "again and again, the last time it was changed outside Git: 'python-urllib3' set .data.value" in told["message"]
    )
    # What is not as Git has it, and not put back, is not healthy.
    installation.kas.wait_sync("named", state="failed", commit=commit, reason="DriftGivenUp")


def test_drift_that_is_only_to_be_reported_stays_and_is_shown(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    repository = installation.git.create("group/told")
    more = "    drift: report\n"
    commit = repository.push_files(
        {**config_files("told", namespace, more=more), "manifests/a.yaml": config_map("told-only")}
    )
    installation.agent("told", project="group/told")
    installation.kas.wait_sync("told", state="healthy", commit=commit)
    path = f"/api/v1/namespaces/{namespace}/configmaps/told-only"

    kube.patch(path, {"data": {"value": "theirs"}})
    (told,) = wait_until(lambda: events(installation, "told", "Drifted"), what="it is told")
    assert ".data.value" in told["message"]
    wait_until(lambda: objects(installation, "told")["told-only"]["reason"] == "Drifted", what="it is shown")
    assert kube.get(path)["data"] == {"value": "theirs"}

    repository.push_files({"manifests/a.yaml": config_map("told-only", "2")})
    installation.kas.webhook("group/told")
    wait_until(lambda: kube.get(path)["data"] == {"value": "2"}, what="what Git changes is applied")
    wait_until(lambda: objects(installation, "told")["told-only"]["reason"] == "", what="it is shown no more")


def test_replicas_are_left_to_an_autoscaler_that_somebody_makes_until_it_goes(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    repository = installation.git.create("group/scaled")
    commit = repository.push_files({**config_files("scaled", namespace), "manifests/web.yaml": deployment("scaled", 2)})
    installation.agent("scaled", project="group/scaled")
    installation.kas.wait_sync("scaled", state="applied", commit=commit)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/scaled"
    scalers = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"}
    spec = {"scaleTargetRef": target, "minReplicas": 5, "maxReplicas": 5}

    kube.create(scalers, {"metadata": {"name": "theirs"}, "spec": spec})
    wait_until(lambda: objects(installation, "scaled")["scaled"]["reason"] == "Autoscaled", what="it is shown")
    kube.scale(path, 5)
    repository.push_files({"manifests/web.yaml": deployment("scaled", 3)})
    installation.kas.webhook("group/scaled")
    commit = repository.push_files({"manifests/other.yaml": config_map("after")})
    installation.kas.webhook("group/scaled")
    installation.kas.wait_sync("scaled", state="applied", commit=commit)
    assert kube.get(path)["spec"]["replicas"] == 5
    assert not events(installation, "scaled", "DriftCorrected")

    kube.delete(f"{scalers}/theirs")
    wait_until(lambda: kube.get(path)["spec"]["replicas"] == 3, what="Git wins again")


def test_what_cannot_be_changed_is_recreated_where_that_is_asked_for_and_told(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    def fixed(value: str) -> str:
        return config_map("fixed", value) + "immutable: true\n"

    repository = installation.git.create("group/fixed")
    commit = repository.push_files({**config_files("fixed", namespace), "manifests/a.yaml": fixed("1")})
    installation.agent("fixed", project="group/fixed")
    installation.kas.wait_sync("fixed", state="healthy", commit=commit)
    commit = repository.push_files({"manifests/a.yaml": fixed("2")})
    installation.kas.webhook("group/fixed")
    sync = installation.kas.wait_sync("fixed", state="failed", commit=commit)
    assert sync["reason"] == "ImmutableField"
    assert "recreate: true" in sync["message"]

    repository.push_files(config_files("fixed", namespace, more="    recreate: true\n"))
    installation.kas.webhook("group/fixed")
    path = f"/api/v1/namespaces/{namespace}/configmaps/fixed"
    wait_until(lambda: (kube.find(path) or {}).get("data") == {"value": "2"}, what="it is created again")
    (told,) = wait_until(lambda: events(installation, "fixed", "Recreated"), what="it is told")
    assert "data: field is immutable" in told["message"]
