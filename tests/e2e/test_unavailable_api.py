"""An extension API whose server is away: what it serves is named with the remedy, and everything else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api_door import ApiDoor
from tests.support.driven import Driven, installed
from tests.support.kube import Kube
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

GROUP = "extension.test.agentk.example"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAMES = {"kind": "Extended", "listKind": "ExtendedList", "plural": "extendeds", "singular": "extended"}
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
EXTENDED = f"apiVersion: {GROUP}/v1\nkind: Extended\nmetadata: {{name: NAME}}\n"
SETTLED = {"healthy", "failed"}


@pytest.fixture
def kube_of_own(own_control_plane: ControlPlane) -> Iterator[Kube]:
    client = Kube(own_control_plane.kubeconfig)
    yield client
    client.close()


def _take_away(kube: Kube) -> None:
    """Have the API server ask a server for the group that is not there, as when an aggregated API's pods are gone."""
    kube.patch(
        f"{SERVICES}/v1.{GROUP}",
        {
            "metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": None}},
            "spec": {"service": {"name": "gone", "namespace": "default", "port": 443}, "insecureSkipTLSVerify": True},
        },
    )
    wait_until(lambda: not _available(kube), what="the group is away")


def _bring_back(kube: Kube) -> None:
    kube.delete(f"{SERVICES}/v1.{GROUP}")
    wait_until(lambda: _available(kube), what="the group is back")


def _available(kube: Kube) -> bool:
    found: dict[str, Any] | None = kube.find(f"{SERVICES}/v1.{GROUP}")
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return any((one["type"], one["status"]) == ("Available", "True") for one in conditions)


def test_a_group_whose_server_is_away_fails_alone_is_named_and_is_synced_when_it_is_back(
    tmp_path: Path, own_control_plane: ControlPlane, kube_of_own: Kube
) -> None:
    kube = kube_of_own
    version = {"name": "v1", "served": True, "storage": True, "schema": SCHEMA}
    spec = {"group": GROUP, "scope": "Namespaced", "names": NAMES, "versions": [version]}
    kube.create(DEFINITIONS, {"metadata": {"name": f"extendeds.{GROUP}"}, "spec": spec})
    wait_until(lambda: _available(kube), what="the group is served")
    extended = f"/apis/{GROUP}/v1/namespaces/default/extendeds"

    with (
        ApiDoor(own_control_plane, tmp_path / "door") as door,
        installed(tmp_path, door.kubeconfig) as here,
    ):
        driven = Driven(here.kas, "main", "own/main", here.git.create("own/main"), kube, "default")
        other = Driven(here.kas, "main", "own/other", here.git.create("own/other"), kube, "default")
        other.push({"manifests/other.yaml": config_map("other"), "manifests/leaves.yaml": config_map("leaves")})
        driven.push(
            {
                **config_files("main", "default", "own/main", "own/other"),
                "manifests/one.yaml": EXTENDED.replace("NAME", "one"),
                "manifests/map.yaml": config_map("map"),
                "manifests/left.yaml": config_map("left"),
            }
        )
        agent = here.agent("main", project="own/main")
        driven.wait("healthy")
        other.wait("healthy")
        uid = kube.get(f"{extended}/one")["metadata"]["uid"]

        # Nothing is pushed, and nobody knows any more how the objects of the group are.
        _take_away(kube)
        door.hang_up()
        sync = driven.wait("failed", reason="ServiceUnavailable")
        assert f"extended.{GROUP}/one" in sync["message"]
        assert "APIService" in sync["message"]
        assert other.sync()["state"] == "healthy"
        _bring_back(kube)
        driven.wait("healthy")

        # While the agent runs: what is new in the group cannot be looked at.
        _take_away(kube)
        driven.repository.remove("manifests/left.yaml")
        commit = driven.push(
            {"manifests/two.yaml": EXTENDED.replace("NAME", "two"), "manifests/new.yaml": config_map("new")}
        )
        sync = driven.wait("failed", commit=commit)
        assert f"extended.{GROUP}/" in sync["message"]
        assert "APIService" in sync["message"]
        assert driven.value("new") == "1"
        assert driven.value("left") == "1", "nothing is pruned while not everything is applied"
        other.remove("manifests/leaves.yaml")
        other.goes_on()
        assert other.value("leaves") is None

        # A restarted agent has seen nothing of the group at all.
        agent.stop()
        agent.start()
        commit = driven.push({"manifests/new.yaml": config_map("new", "2")})
        sync = driven.wait("failed", commit=commit)
        assert f"extended.{GROUP}" in sync["message"]
        assert GROUP in sync["message"]
        assert (driven.value("new"), driven.value("left")) == ("2", "1")
        other.goes_on()

        _bring_back(kube)
        driven.wait("healthy", commit=commit)
        assert kube.get(f"{extended}/one")["metadata"]["uid"] == uid
        assert kube.find(f"{extended}/two")
        wait_until(lambda: driven.value("left") is None, what="what left Git is pruned")
