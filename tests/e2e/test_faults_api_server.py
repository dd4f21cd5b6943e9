"""The cluster's API server is away for a while: the status says so, and everything recovers by itself.

One cluster serves the tests of this file: each finds the API server running and leaves it so.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.cluster import open_control_plane
from tests.support.driven import Driven, installed, stays
from tests.support.installation import Agent
from tests.support.kube import Kube
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

OBJECTS = 300


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster that these tests may stop."""
    with open_control_plane() as found:
        yield found


@pytest.fixture(scope="module")
def kube_of_own(plane: ControlPlane) -> Iterator[Kube]:
    """A client of it."""
    client = Kube(plane.kubeconfig)
    yield client
    client.close()


@pytest.fixture
def here(tmp_path: Path, plane: ControlPlane) -> Iterator[Installation]:
    """An installation on it."""
    with installed(tmp_path, plane.kubeconfig) as installation:
        yield installation


@pytest.fixture
def there(kube_of_own: Kube) -> str:
    """A namespace of one test."""
    name = f"away-{secrets.token_hex(3)}"
    kube_of_own.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def elsewhere(
    here: Installation, control_plane: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> Iterator[Driven]:
    """A project of an agent in another cluster, to which nothing may happen."""
    repository = here.git.create("own/elsewhere")
    driven = Driven(here.kas, "elsewhere", "own/elsewhere", repository, kube, namespace)
    driven.push({**config_files("elsewhere", namespace), "manifests/elsewhere.yaml": config_map("elsewhere")})
    kubeconfig = control_plane.kubeconfig
    agent = Agent(here.kas, "elsewhere", project="own/elsewhere", kubeconfig=kubeconfig, directory=tmp_path / "other")
    try:
        agent.start()
        yield driven
    finally:
        agent.stop()


def test_an_api_server_that_is_away_is_shown_and_everything_recovers_by_itself(
    here: Installation, plane: ControlPlane, kube_of_own: Kube, there: str, elsewhere: Driven
) -> None:
    kas = here.kas
    driven = Driven(kas, "main", "own/main", here.git.create("own/main"), kube_of_own, there)
    idle = Driven(kas, "main", "own/idle", here.git.create("own/idle"), kube_of_own, there)
    files = config_files("main", there, "own/main", "own/idle")
    idle.push({"manifests/idle.yaml": config_map("idle"), "manifests/still.yaml": config_map("still")})
    driven.push({**files, "manifests/main.yaml": config_map("main")})
    agent = here.agent("main", project="own/main")
    driven.wait("healthy")
    idle.wait("healthy")
    still = idle.config_map("still")

    # Nothing is pushed: the outage alone is news, of a project that was healthy.
    plane.stop_api_server()
    sync = idle.wait("failed", reason="ApiServerUnreachable")
    assert "cannot reach" in sync["message"]
    assert "ApiServerUnreachable" in kas.cli("get", "syncs", "--agent", "main", "-o", "wide")
    driven.wait("failed", reason="ApiServerUnreachable")
    synced = agent.log.read_text().count("Cluster successfully synced")
    wait_until(lambda: _refused(agent, "own/idle") > 1, what="it was tried again, and nobody was there")
    assert agent.log.read_text().count("Cluster successfully synced") == synced
    assert idle.sync()["state"] == "failed"

    # An agent of another cluster goes on, and what is pushed meanwhile waits.
    pushed = driven.push({"manifests/main.yaml": config_map("main", "2"), "manifests/new.yaml": config_map("new")})
    driven.wait("failed", commit=pushed, reason="ApiServerUnreachable")
    elsewhere.goes_on()

    plane.start_api_server()
    kube_of_own.patch(f"/api/v1/namespaces/{there}/configmaps/idle", {"data": {"value": "drifted"}})
    driven.wait("healthy", commit=pushed)
    assert (driven.value("main"), driven.value("new")) == ("2", "1")
    wait_until(lambda: idle.value("idle") == "1", what="the drift made right after the start is put back")
    recovered = idle.wait("healthy")
    assert (recovered["reason"], recovered["message"]) == ("", "")
    assert idle.config_map("still") == still, "what nobody changed was not written again"


def test_an_api_server_that_dies_during_a_sync_and_returns_gets_the_rest(
    here: Installation, plane: ControlPlane, kube_of_own: Kube, there: str
) -> None:
    driven = Driven(here.kas, "main", "own/main", here.git.create("own/main"), kube_of_own, there)
    start = driven.push({**config_files("main", there), "manifests/start.yaml": config_map("start")})
    here.agent("main", project="own/main")
    driven.wait("healthy", commit=start)

    commit = driven.push({f"manifests/{n}.yaml": config_map(f"many-{n}") for n in range(OBJECTS)})
    wait_until(lambda: _count(driven), what="some objects are there")
    plane.stop_api_server()
    sync = driven.wait("failed", commit=commit, reason="ApiServerUnreachable")
    assert sync["state"] == "failed"

    plane.start_api_server()
    sync = driven.wait("healthy", commit=commit)
    assert _count(driven) == OBJECTS
    assert sync["counts"]["total"] == OBJECTS + 1

    removed = driven.remove(*(f"manifests/{n}.yaml" for n in range(20)))
    assert driven.wait("healthy", commit=removed)["counts"]["pruned"] == 20
    assert _count(driven) == OBJECTS - 20


def test_an_agent_that_starts_while_the_api_server_is_away_says_so_and_syncs_when_it_is_back(
    here: Installation, plane: ControlPlane, kube_of_own: Kube, there: str
) -> None:
    driven = Driven(here.kas, "main", "own/main", here.git.create("own/main"), kube_of_own, there)
    driven.push({**config_files("main", there), "manifests/late.yaml": config_map("late")})
    plane.stop_api_server()

    here.agent("main", project="own/main")
    driven.wait("failed", reason="ApiServerUnreachable")
    plane.start_api_server()

    driven.wait("healthy")
    assert driven.value("late") == "1"


def _refused(agent: Agent, project: str) -> int:
    """Return how many attempts to sync a project have failed."""
    lines = [line for line in agent.log.read_text().splitlines() if '"Sync failed"' in line]
    return sum(f'"project_id":"{project}"' in line for line in lines)


def _count(driven: Driven) -> int:
    found = driven.kube.get(f"/api/v1/namespaces/{driven.namespace}/configmaps", labelSelector="agentk.io/agent")
    return sum(item["metadata"]["name"].startswith("many-") and stays(item) for item in found["items"])
