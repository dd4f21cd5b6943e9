"""Two replicas of one agent and one writer at a time, by the word of the API server's own audit log."""

from __future__ import annotations

import json
import secrets
import signal
from itertools import groupby
from threading import Event
from typing import TYPE_CHECKING

import pytest

from tests.support.api_door import ApiDoor, Moment
from tests.support.audit import AuditLog, administrator, audited_control_plane
from tests.support.driven import Driven, installed
from tests.support.installation import Agent
from tests.support.installed_agent import fetch
from tests.support.kube import Kube
from tests.support.manifests import config_files, config_map
from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Kas

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

OBJECTS = 160
MIDDLE = 40
"""The write of the first replica at which something happens, before the API server hears of that one."""
SHORT, LONG = 4, 60
"""Seconds of a lease: so that one can be waited for, and so that none can."""
STANDS_BY = "Another replica leads"


class Replicas:
    """Two replicas, ``one`` and ``two``, of an agent that drives one project; the first goes through a door."""

    def __init__(self, plane: ControlPlane, door: ApiDoor, audit: AuditLog, driven: Driven, directory: Path) -> None:
        directory.mkdir()
        self.kas: Kas = driven.kas
        self.plane = plane
        self.audit = audit
        self.driven = driven
        self.kube = driven.kube
        self.door = door
        self._account = f"{driven.namespace}-"
        self.one = self._replica(plane, "one", directory, first=True)
        self.two = self._replica(plane, "two", directory, first=False)
        self.two.token_file.write_text(self.one.token_file.read_text())

    def _replica(self, plane: ControlPlane, name: str, directory: Path, *, first: bool) -> Agent:
        account = administrator(plane, self.kube, f"{self._account}{name}", directory / f"kubeconfig-{name}")
        if first:
            _lead_through(self.door, account)
        return Agent(
            self.kas,
            "main",
            project="own/main",
            kubeconfig=account,
            directory=directory / name,
            environment={"POD_NAME": name},
            register=first,
        )

    def start_second(self, lease_seconds: int, *more: str) -> None:
        """Start the second replica and wait until it stands by."""
        before = self.two.log.read_text().count(STANDS_BY) if self.two.log.exists() else 0
        self.two.start("--lease-seconds", str(lease_seconds), *more)
        wait_until(lambda: self.lines(self.two, STANDS_BY) > before, what="the second one stands by")
        wait_until(lambda: self.connected() == ["one", "two"], what="both are connected")

    def connected(self) -> list[str]:
        """Return the pods that kas shows."""
        (agent,) = (agent for agent in self.kas.get("agents") if agent["name"] == "main")
        return sorted(connection["pod_name"] for connection in agent["connections"])

    def writers(self) -> list[str]:
        """Return who wrote, in turn; leases, for which both write, and those who are no replica of this left out."""
        writers = (written.who for written in self.audit.writes(but="leases"))
        ours = (who.removeprefix(self._account) for who in writers if who.startswith(self._account))
        return [who for who, _ in groupby(ours)]

    def strike(self, act: Callable[[], None]) -> str:
        """Push many objects, and do this when the first replica is in the middle of them; return the commit."""
        goes_on = Event()
        strike = self.door.arm(MIDDLE, Moment.BEFORE, act, release=goes_on)
        goes_on.set()
        commit = self.driven.push({f"manifests/{n}.yaml": config_map(f"many-{n}") for n in range(OBJECTS)})
        wait_until(strike.done.is_set, what="it came to the write")
        return commit

    def lines(self, agent: Agent, text: str) -> int:
        """Return how many lines of a replica's log have this text."""
        return agent.log.read_text().count(text)

    def count(self) -> int:
        """Return how many of the many objects there are."""
        path = f"/api/v1/namespaces/{self.driven.namespace}/configmaps"
        items = self.kube.get(path, labelSelector="agentk.io/agent")["items"]
        return sum(item["metadata"]["name"].startswith("many-") for item in items)


def _lead_through(door: ApiDoor, kubeconfig: Path) -> None:
    """Change a kubeconfig so that it leads through a door, with the credentials that it has."""
    config, doors = (json.loads(file.read_text()) for file in (kubeconfig, door.kubeconfig))  # ours are all JSON
    config["clusters"][0]["cluster"] = doors["clusters"][0]["cluster"]
    kubeconfig.write_text(json.dumps(config))


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, AuditLog]]:
    """A cluster that notes every write, for all tests of this file."""
    with audited_control_plane(tmp_path_factory.mktemp("plane")) as found:
        yield found


@pytest.fixture
def replicas(
    audited: tuple[ControlPlane, AuditLog], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Replicas]:
    """A namespace, a kas, and the first replica, which leads and has synced one object; by default a short lease."""
    plane, audit = audited
    with (
        ApiDoor(plane, tmp_path / "door") as door,
        installed(tmp_path, plane.kubeconfig) as here,
    ):
        kube = Kube(plane.kubeconfig)
        namespace = f"writers-{secrets.token_hex(3)}"
        kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        driven = Driven(here.kas, "main", "own/main", here.git.create("own/main"), kube, namespace)
        commit = driven.push({**config_files("main", namespace), "manifests/start.yaml": config_map("start")})
        both = Replicas(plane, door, audit, driven, tmp_path / "agents")
        try:
            both.one.start("--lease-seconds", str(getattr(request, "param", SHORT)))
            driven.wait("healthy", commit=commit)
            yield both
        finally:
            for agent in (both.one, both.two):
                agent.stop()
            kube.close()


def test_a_leader_that_is_stopped_and_goes_on_writes_nothing_more_while_the_other_does(replicas: Replicas) -> None:
    driven, one, two = replicas.driven, replicas.one, replicas.two
    replicas.start_second(SHORT)

    commit = replicas.strike(lambda: one.process.send_signal(signal.SIGSTOP))
    assert replicas.count() < OBJECTS
    driven.wait("healthy", commit=commit)
    assert replicas.count() == OBJECTS
    one.process.send_signal(signal.SIGCONT)
    wait_until(lambda: replicas.lines(one, "This replica no longer leads"), what="the first one knows")

    driven.goes_on()
    assert replicas.writers() == ["one", "two"]
    assert (replicas.lines(one, "NotLeader"), replicas.lines(two, "NotLeader")) == (0, 0)

    # And back: the other one ends in good order, and the first begins from scratch.
    two.stop()
    wait_until(lambda: replicas.lines(one, "This replica leads") == 2, what="the first one leads again")
    driven.goes_on()
    assert replicas.writers() == ["one", "two", "one"]


@pytest.mark.parametrize("replicas", [LONG], indirect=True)
def test_a_rolling_update_passes_the_lease_on_without_waiting_and_without_losing_a_revision(replicas: Replicas) -> None:
    driven, one, two = replicas.driven, replicas.one, replicas.two
    replicas.start_second(LONG)

    commit = replicas.strike(lambda: one.process.send_signal(signal.SIGTERM))
    assert one.process.wait() == 0
    one.stop()
    driven.wait("healthy", commit=commit, within=LONG / 2)

    assert replicas.count() == OBJECTS
    assert replicas.writers() == ["one", "two"]
    assert replicas.lines(two, "This replica leads") == 1


def test_a_sync_that_is_well_stays_so_while_replicas_come_and_go(replicas: Replicas) -> None:
    driven = replicas.driven
    before = driven.sync()
    replicas.start_second(SHORT)
    replicas.two.stop()
    port = free_port()
    replicas.start_second(SHORT, "--observability-address", f"127.0.0.1:{port}")

    status, body = fetch(port, "readiness")
    ready = json.loads(body)
    assert (status, ready["status"], ready["leading"]) == (200, "ready", False)
    assert ready["leader"].startswith("one_")
    assert "agentk_leading 0.0" in fetch(port, "metrics")[1]
    after = driven.sync()
    for key in ("state", "finished_at", "updated_at"):
        assert after[key] == before[key]
    events = [event["reason"] for event in replicas.kas.get("events", agent="main")]
    assert events.count("Received") == 1
    assert replicas.writers() == ["one"]


def test_an_agent_ends_in_good_order_while_nobody_can_say_who_leads(replicas: Replicas) -> None:
    driven, one = replicas.driven, replicas.one
    replicas.strike(replicas.plane.stop_api_server)
    driven.wait("failed", reason="ApiServerUnreachable")
    wait_until(lambda: replicas.lines(one, "No lease can be had"), what="the lease cannot be renewed")

    assert one.process.terminate(timeout=60) == 0
    assert not replicas.lines(one, "did not stop in time")
    replicas.plane.start_api_server()
