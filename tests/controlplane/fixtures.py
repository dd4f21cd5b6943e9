"""pytest fixtures for tests on a real cluster; mark such tests with ``cluster``."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.binaries import BinariesError, find_binaries
from tests.controlplane.cluster import (
    Cluster,
    ExistingClusterError,
    existing_kubeconfig,
    open_cluster,
    open_control_plane,
)
from tests.controlplane.ready_pods import ReadyPodsUnavailableError
from tests.controlplane.server import ControlPlane
from tests.support.go_build import GoBuildError
from tests.support.kube import Kube
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "own_control_plane"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a cold build takes minutes, and a fixture's time counts against one test's limit."""
    wanted = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    if session.config.option.collectonly:
        return
    try:
        if OWN in wanted or ("control_plane" in wanted and existing_kubeconfig() is None):
            find_binaries()
    except (BinariesError, ExistingClusterError, GoBuildError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """The cluster of this worker, started when the first test asks; shared, so keep to your own namespace."""
    with open_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def started_control_plane(control_plane: Cluster) -> ControlPlane:
    """The shared cluster, if we have started it: its keys and programs are at hand, and nobody else works there."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("somebody's own cluster has neither keys nor programs that are ours")
    return control_plane


@pytest.fixture
def own_control_plane() -> Iterator[ControlPlane]:
    """A control plane for one test alone, which may stop its API server or change the whole cluster."""
    with open_control_plane() as plane:
        yield plane


@pytest.fixture(scope="session")
def kube(control_plane: Cluster) -> Iterator[Kube]:
    """A small client of the shared cluster, independent of the project's own."""
    client = Kube(control_plane.kubeconfig)
    yield client
    client.close()


@pytest.fixture(scope="session")
def ready_pods(control_plane: Cluster) -> None:
    """Make pods on the shared cluster become Ready; skip where envtest's programs are all there is."""
    try:
        control_plane.start_ready_pods()
    except ReadyPodsUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def namespace(control_plane: Cluster, kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace of this test module; deleted afterwards without waiting for its end."""
    module = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rpartition(".")[2].lower()).strip("-")
    name = f"{module[:40]}-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    if control_plane.runs_controllers:
        wait_until(lambda: kube.find(account), what=f"{name} has its default service account")
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")
