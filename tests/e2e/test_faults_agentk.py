"""agentk dies in the middle of applying: everything arrives after all, and nothing that it had made is forgotten.

It dies at a certain write, whatever the machine does besides: a door in front of the API server counts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_door import ApiDoor, Moment
from tests.support.driven import Driven, drive, installed, stays
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.server import ControlPlane
    from tests.support.api_door import Strike
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

OBJECTS = 120
MIDDLE = 40
"""The write at which it dies, before the API server hears of that one or any after it."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, started_control_plane: ControlPlane) -> Iterator[ApiDoor]:
    """The way of every agent of this module to its cluster."""
    with ApiDoor(started_control_plane, tmp_path_factory.mktemp("door")) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, door: ApiDoor) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("agentk"), door.kubeconfig) as installation:
        yield installation


def _is_over(strike: Strike) -> None:
    wait_until(strike.done.is_set, what="it came to the write")


def _there(driven: Driven, prefix: str) -> dict[str, str]:
    """Return the values of the ConfigMaps whose names begin so."""
    found = driven.kube.get(f"/api/v1/namespaces/{driven.namespace}/configmaps", labelSelector="agentk.io/agent")
    items = {item["metadata"]["name"]: item["data"]["value"] for item in found["items"] if stays(item)}
    return {name: value for name, value in items.items() if name.startswith(prefix)}


def _remembered(driven: Driven, prefix: str) -> int:
    """Return how many of these objects an inventory of the namespace remembers."""
    found = driven.kube.get(
        f"/api/v1/namespaces/{driven.namespace}/configmaps", labelSelector="cli-utils.sigs.k8s.io/inventory-id"
    )
    return sum(f"_{prefix}" in key for item in found["items"] for key in item.get("data", {}))


def test_agentk_killed_while_it_creates_and_changes_completes_and_forgets_nothing(
    shared: Installation, door: ApiDoor, kube: Kube, namespace: str
) -> None:
    neighbour = drive(shared, kube, namespace, agent="neighbour", projects=("neighbour/project",))["project"]
    driven = Driven(shared.kas, "killed", "own/killed", shared.git.create("own/killed"), kube, namespace)

    def manifests(value: str) -> dict[str, str]:
        return {f"manifests/{n // 4}-{n}.yaml": config_map(f"killed-{n}", value) for n in range(OBJECTS)}

    commit = driven.push({**config_files("killed", namespace), **manifests("1")})
    agent = shared.agent("killed", project="own/killed", start=False)
    strike = door.arm(MIDDLE, Moment.BEFORE, agent.kill)
    agent.start(connected=False)
    _is_over(strike)
    first = _there(driven, "killed-")
    assert 0 < len(first) < OBJECTS
    wait_until(lambda: not agent.connected(), what="kas has seen the end")
    assert "agent not connected" in shared.kas.cli("get", "syncs", "--agent", "killed")
    neighbour.goes_on()

    # What was applied just before the kill leaves Git while nobody looks.
    gone = sorted(first)[:3]
    numbers = [int(name.removeprefix("killed-")) for name in gone]
    second = driven.remove(*(f"manifests/{n // 4}-{n}.yaml" for n in numbers))
    agent.start()
    sync = driven.wait("healthy", commit=second)
    assert sync["counts"]["pruned"] == len(gone)
    assert len(_there(driven, "killed-")) == OBJECTS - len(gone)
    assert not set(gone) & _there(driven, "killed-").keys()
    assert _remembered(driven, "killed-") == OBJECTS - len(gone)
    assert commit != second

    rest = {path: text for path, text in manifests("2").items() if (driven.repository.path / path).exists()}
    strike = door.arm(MIDDLE, Moment.BEFORE, agent.kill)
    changed = driven.push(rest)
    _is_over(strike)
    assert set(_there(driven, "killed-").values()) == {"1", "2"}
    agent.start()
    driven.wait("healthy", commit=changed)
    assert set(_there(driven, "killed-").values()) == {"2"}

    last = sorted(rest)[:5]
    removed = driven.remove(*last)
    sync = driven.wait("healthy", commit=removed)
    assert sync["counts"]["pruned"] == len(last)
    assert len(_there(driven, "killed-")) == _remembered(driven, "killed-") == OBJECTS - len(gone) - len(last)


def test_agentk_killed_while_it_prunes_prunes_the_rest(
    shared: Installation, door: ApiDoor, kube: Kube, namespace: str
) -> None:
    driven = Driven(shared.kas, "pruned", "own/pruned", shared.git.create("own/pruned"), kube, namespace)
    files = {f"manifests/{n}.yaml": config_map(f"pruned-{n}") for n in range(OBJECTS)}
    commit = driven.push({**config_files("pruned", namespace), **files})
    agent = shared.agent("pruned", project="own/pruned")
    driven.wait("healthy", commit=commit)
    left = OBJECTS * 6 // 10  # fewer than half go: a larger prune waits for a confirmation

    strike = door.arm((OBJECTS - left) // 4, Moment.BEFORE, agent.kill)
    removed = driven.remove(*(f"manifests/{n}.yaml" for n in range(left, OBJECTS)))
    _is_over(strike)
    assert left < len(_there(driven, "pruned-")) < OBJECTS
    agent.start()
    driven.wait("healthy", commit=removed)
    assert len(_there(driven, "pruned-")) == _remembered(driven, "pruned-") == left


def test_an_agent_that_was_away_goes_straight_to_the_newest_revision(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    driven = Driven(shared.kas, "away", "own/away", shared.git.create("own/away"), kube, namespace)
    driven.push({**config_files("away", namespace), "manifests/away.yaml": config_map("away", "0")})
    agent = shared.agent("away", project="own/away")
    driven.wait("healthy")
    agent.stop()

    for value in range(1, 4):
        last = driven.push({"manifests/away.yaml": config_map("away", str(value))})
    agent.start()

    driven.wait("healthy", commit=last)
    assert driven.value("away") == "3"
    others = {sync["state"] for sync in shared.kas.get("syncs", agent="away", all="1") if sync["commit"] != last}
    assert others <= {"healthy", "superseded"}
