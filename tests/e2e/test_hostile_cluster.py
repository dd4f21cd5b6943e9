"""What a cluster may hold against us: others' objects, recreated ones, some that never end, and cycles in Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Agent
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

NAMES = ("first", "second", "recreated", "stuck", "cyclic", "neighbour")
DEPENDS_ON = "config.kubernetes.io/depends-on"
FINALIZER = "test.agentk.example/never"


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster, kube: Kube, namespace: str
) -> Iterator[tuple[Agent, dict[str, Driven]]]:
    """One agent, and manifest projects that give a deletion three seconds."""
    with installed(tmp_path_factory.mktemp("hostile"), control_plane.kubeconfig) as here:
        found = {
            name: Driven(here.kas, "main", f"own/{name}", here.git.create(f"own/{name}"), kube, namespace)
            for name in NAMES
        }
        for name, driven in found.items():
            driven.push({f"manifests/{name}.yaml": config_map(name)})
        projects = (f"own/{name}" for name in NAMES)
        here.git.create("own/config").push_files(
            config_files("main", namespace, *projects, more="    prune_timeout: 3s\n    prune_confirmation: never\n")
        )
        agent = here.agent("main", project="own/config")
        for driven in found.values():
            driven.wait("healthy")
        yield agent, found


def annotated(name: str, depends_on: str) -> str:
    """Return a ConfigMap that depends on another object."""
    return config_map(name).replace("metadata:\n", f"metadata:\n  annotations: {{{DEPENDS_ON}: '{depends_on}'}}\n")


def test_the_second_project_that_claims_an_object_fails_and_nobody_fights(
    shared: tuple[Agent, dict[str, Driven]],
) -> None:
    _, projects = shared
    first, second = projects["first"], projects["second"]
    commit = second.push({"manifests/first.yaml": config_map("first", "2"), "manifests/more.yaml": config_map("more")})
    sync = second.wait("failed", commit=commit)
    assert sync["reason"] == "OwnedByAnotherInventory"
    assert "configmap/first" in sync["message"]
    assert (first.value("first"), second.value("more")) == ("1", "1")
    first.goes_on()
    # Nor is it pruned with the second project's copy.
    second.wait("healthy", commit=second.remove("manifests/first.yaml"))
    assert first.value("first") == "1"


def test_what_somebody_recreated_while_nobody_looked_is_not_pruned(shared: tuple[Agent, dict[str, Driven]]) -> None:
    agent, projects = shared
    driven = projects["recreated"]
    driven.wait("healthy", commit=driven.push({"manifests/left.yaml": config_map("left")}))
    path = f"/api/v1/namespaces/{driven.namespace}/configmaps"
    before = driven.kube.get(f"{path}/left")
    agent.stop()
    driven.kube.delete(f"{path}/left")
    metadata = {key: before["metadata"][key] for key in ("name", "labels", "annotations")}
    again = driven.kube.create(path, {"metadata": metadata, "data": {"value": "theirs"}})
    commit = driven.remove("manifests/left.yaml")
    agent.start()
    driven.wait("healthy", commit=commit)
    assert driven.kube.get(f"{path}/left")["metadata"]["uid"] == again["metadata"]["uid"]
    assert driven.value("left") == "theirs"


def test_an_object_that_never_ends_is_named_with_its_finalizer_and_the_rest_is_pruned(
    shared: tuple[Agent, dict[str, Driven]],
) -> None:
    _, projects = shared
    driven = projects["stuck"]
    held = config_map("held").replace("metadata:\n", f"metadata:\n  finalizers: [{FINALIZER}]\n")
    commit = driven.push({"manifests/held.yaml": held, "manifests/goes.yaml": config_map("goes")})
    driven.wait("healthy", commit=commit)
    commit = driven.remove("manifests/held.yaml", "manifests/goes.yaml")
    path = f"/api/v1/namespaces/{driven.namespace}/configmaps/held"
    try:
        sync = driven.wait("failed", commit=commit, reason="PruneTimeout")
        assert "configmap/held" in sync["message"]
        assert FINALIZER in sync["message"]
        assert driven.value("goes") is None
        projects["neighbour"].goes_on()
    finally:
        driven.kube.patch(path, {"metadata": {"finalizers": None}})
    driven.wait("healthy", commit=commit)
    wait_until(lambda: driven.kube.find(path) is None, what="it is gone")


def test_a_cycle_is_listed_and_the_rest_is_applied(shared: tuple[Agent, dict[str, Driven]]) -> None:
    _, projects = shared
    driven = projects["cyclic"]
    where = f"/namespaces/{driven.namespace}/ConfigMap"
    commit = driven.push(
        {
            "manifests/a.yaml": annotated("cycle-a", f"{where}/cycle-b"),
            "manifests/b.yaml": annotated("cycle-b", f"{where}/cycle-a"),
            "manifests/beside.yaml": config_map("beside"),
        }
    )
    sync = driven.wait("failed", commit=commit)
    assert "cycle-a" in sync["message"]
    assert "cycle-b" in sync["message"]
    assert (driven.value("cycle-a"), driven.value("cycle-b"), driven.value("beside")) == (None, None, "1")
    driven.wait("healthy", commit=driven.push({"manifests/b.yaml": config_map("cycle-b")}))
