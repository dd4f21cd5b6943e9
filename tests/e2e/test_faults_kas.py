"""kas dies in the middle, and connections break: agents reconnect, nothing is lost, and only what is new travels."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Agent, Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

FILES = 150
BIG = 400
PADDING = "x" * 15_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("kas"), control_plane.kubeconfig) as installation:
        yield installation


def _received(agent: Agent) -> list[dict[str, Any]]:
    """Return what agentk says at debug level of each snapshot that arrived whole."""
    lines = [line for line in agent.log.read_text().splitlines() if '"Snapshot received"' in line]
    return [json.loads(line) for line in lines]


def _versions(driven: Driven) -> dict[str, str]:
    """Return the resourceVersion of every ConfigMap that the agent manages in the namespace."""
    found = driven.kube.get(f"/api/v1/namespaces/{driven.namespace}/configmaps", labelSelector="agentk.io/agent")
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found["items"]}


def test_a_reconnect_moves_no_object_and_one_changed_file_of_many_moves_alone(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas = shared.kas
    driven = Driven(kas, "many", "own/many", shared.git.create("own/many"), kube, namespace)
    files = config_files("many", namespace)
    debug = {path: f"{text}observability: {{logging: {{level: debug}}}}\n" for path, text in files.items()}
    first = driven.push(
        {**debug, **{f"manifests/{n}.yaml": config_map(f"many-{n}", namespace=namespace) for n in range(FILES)}}
    )
    agent = shared.agent("many", project="own/many")
    driven.wait("healthy", commit=first)
    before = _versions(driven)
    assert (len(before), _received(agent)[-1]["sent"]) == (FILES, FILES)

    kas.kill()
    kas.start()
    wait_until(lambda: len(_received(agent)) == 2, what="the agent is back and has been told where it stands")
    sync = driven.wait("healthy", commit=first)
    assert _received(agent)[-1]["sent"] == 0
    assert sync["counts"]["total"] == FILES
    assert _versions(driven) == before

    changed = driven.push({"manifests/7.yaml": config_map("many-7", "2", namespace=namespace)})
    sync = driven.wait("healthy", commit=changed)
    assert (_received(agent)[-1]["sent"], _received(agent)[-1]["sent_first"]) == (1, ["manifests/7.yaml"])
    assert sync["counts"]["configured"] == 1
    after = _versions(driven)
    assert {name for name in after if after[name] != before[name]} == {"many-7"}

    kas.kill()
    offline = driven.repository.push_files({"manifests/8.yaml": config_map("many-8", "2", namespace=namespace)})
    kas.start()
    driven.wait("healthy", commit=offline)
    assert _received(agent)[-1]["sent_first"] == ["manifests/8.yaml"]


def test_kas_killed_while_it_streams_goes_on_from_what_the_agent_holds(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas = shared.kas
    neighbour = drive(shared, kube, namespace, agent="neighbour", projects=("neighbour/project",))["project"]
    before = neighbour.wait("healthy")
    driven = Driven(kas, "big", "own/big", shared.git.create("own/big"), kube, namespace)
    start = driven.push({**config_files("big", namespace), "manifests/start.yaml": config_map("start")})
    agent = shared.agent("big", project="own/big")
    driven.wait("healthy", commit=start)
    names = {f"big-{n}" for n in range(BIG)}

    # An agent that does not read: six megabytes are more than what is under way between two programs.
    agent.process.send_signal(signal.SIGSTOP)
    commit = driven.push({f"manifests/{name}.yaml": config_map(name, PADDING, namespace=namespace) for name in names})
    driven.wait("received", commit=commit)
    kas.kill()
    agent.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "The connection to kas has ended" in agent.log.read_text(), what="the agent sees the end")
    assert not names & _versions(driven).keys()
    kas.start()

    sync = driven.wait("healthy", commit=commit, within=90)
    assert names <= _versions(driven).keys()
    assert (sync["counts"]["total"], sync["counts"]["created"]) == (BIG + 1, BIG)
    assert _shown(driven, names) == BIG
    kept = [s for s in kas.get("syncs", agent="neighbour", all="1") if s["id"] == before["id"]]
    assert [s["applied_at"] for s in kept] == [before["applied_at"]]
    neighbour.goes_on()


def test_kas_killed_while_the_agent_applies_hears_of_it_later_and_nothing_is_applied_twice(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas = shared.kas
    driven = Driven(kas, "meanwhile", "own/meanwhile", shared.git.create("own/meanwhile"), kube, namespace)
    names = {f"meanwhile-{n}" for n in range(FILES)}
    files = {f"manifests/{name}.yaml": config_map(name, namespace=namespace) for name in names}
    commit = driven.push({**config_files("meanwhile", namespace), **files})
    agent = shared.agent("meanwhile", project="own/meanwhile")

    wait_until(lambda: driven.value("meanwhile-0"), what="the agent is applying")
    kas.kill()
    wait_until(lambda: "Cluster successfully synced" in agent.log.read_text(), what="it has gone on without kas")
    versions = _versions(driven)
    assert names <= versions.keys()
    kas.start()

    sync = driven.wait("healthy", commit=commit)
    assert sync["counts"]["total"] == FILES
    assert _shown(driven, names) == FILES
    assert _versions(driven) == versions


def _shown(driven: Driven, names: set[str]) -> int:
    """Return of how many of these objects kas knows that they are well."""
    tree = driven.kas.get("tree", agent=driven.agent)
    objects = [shown for project in tree["projects"] for shown in project["objects"]]
    return sum(shown["object"]["name"] in names and shown["health"] == "current" for shown in objects)
