"""Agent tokens that are wrong, revoked, rotated or badly saved."""

from __future__ import annotations

import json
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

SECONDS = 20.0
"""What HOSTILE.md calls seconds, how long a revoked token's stream may still live, on a machine that does much else."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("tokens"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def neighbour(shared: Installation, kube: Kube, namespace: str) -> Driven:
    """A project of another agent, to which nothing may happen."""
    return drive(shared, kube, namespace, agent="neighbour", projects=("neighbour/project",))["project"]


def _agent(shared: Installation, kube: Kube, namespace: str, name: str) -> tuple[Agent, Driven]:
    """Register an agent that is not running yet, with something to sync."""
    driven = Driven(shared.kas, name, f"own/{name}", shared.git.create(f"own/{name}"), kube, namespace)
    driven.push({**config_files(name, namespace), f"manifests/{name}.yaml": config_map(name)})
    return shared.agent(name, project=f"own/{name}", start=False), driven


def _status(shared: Installation, name: str) -> str:
    return str(next(agent["status"] for agent in shared.kas.get("agents") if agent["name"] == name))


def _new_token(shared: Installation, name: str) -> str:
    return shared.kas.cli("token", "create", "--agent", f"own/{name}:{name}")


def test_a_revoked_token_ends_the_stream_and_a_new_one_in_the_same_file_brings_the_agent_back(
    shared: Installation, kube: Kube, namespace: str, neighbour: Driven
) -> None:
    agent, driven = _agent(shared, kube, namespace, "revoked")
    agent.start()
    driven.wait("healthy")
    tokens = json.loads(shared.kas.cli("token", "list", "--agent", "revoked", "-o", "json"))
    token_id = (tokens["items"] if isinstance(tokens, dict) else tokens)[0]["id"]

    shared.kas.cli("token", "revoke", str(token_id))
    wait_until(lambda: not agent.connected(), what="the stream has ended", within=SECONDS)

    assert _status(shared, "revoked") == "token revoked"
    assert "every token of it is revoked" in shared.kas.cli("get", "syncs", "--agent", "revoked")
    wait_until(
        lambda: "TokenRevoked" in {event["reason"] for event in shared.kas.get("events", agent="revoked")},
        what="the refusal is shown with its agent",
    )
    wait_until(lambda: "create one with `kas token create`" in agent.log.read_text(), what="the remedy is logged")
    driven.push({"manifests/revoked.yaml": config_map("revoked", "2")})
    neighbour.goes_on()
    assert driven.value("revoked") == "1"

    agent.token_file.write_text(_new_token(shared, "revoked"))
    wait_until(agent.connected, what="the agent is back without a restart")
    wait_until(lambda: driven.value("revoked") == "2", what="what was pushed meanwhile is applied")
    driven.wait("healthy")


def test_a_wrong_token_is_refused_named_and_can_be_put_right_in_its_file(
    shared: Installation, kube: Kube, namespace: str, neighbour: Driven
) -> None:
    agent, driven = _agent(shared, kube, namespace, "wrong")
    right = agent.token_file.read_text()
    wrong = f"{right.strip()[:-4]}AAAA"
    agent.token_file.write_text(wrong)

    agent.start(connected=False)
    wait_until(lambda: "the token is not known here" in agent.log.read_text(), what="the cause is logged")

    def refusals() -> list[dict[str, Any]]:
        return [event for event in shared.kas.get("events") if event["reason"] == "TokenUnknown"]

    assert "its token is not known here" in wait_until(refusals, what="an event tells of it")[0]["message"]
    audited = [line for line in shared.kas.cli("audit").splitlines() if "its token is not known here" in line]
    assert audited
    assert all("agent.connect" in line and "refused" in line for line in audited)
    assert _status(shared, "wrong") == "never connected"
    neighbour.goes_on()
    for text in (agent.log.read_text(), shared.kas.log.read_text(), json.dumps(shared.kas.get("events"))):
        assert wrong not in text
        assert wrong.removeprefix("glagent-") not in text

    agent.token_file.write_text(right)
    wait_until(agent.connected, what="the agent is in")
    driven.wait("healthy")


@pytest.mark.parametrize(
    ("name", "saved"), [("padded", "\n  {} \r\n\n"), ("quoted", "{}\t")], ids=["line ends", "a tab at the end"]
)
def test_whitespace_around_a_token_does_not_matter(
    shared: Installation, kube: Kube, namespace: str, name: str, saved: str
) -> None:
    agent, driven = _agent(shared, kube, namespace, name)
    agent.token_file.write_text(saved.format(agent.token_file.read_text().strip()))
    agent.start()
    driven.wait("healthy")


def test_a_token_file_that_is_gone_ends_the_start_with_its_name_and_an_empty_one_later_is_waited_out(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    agent, driven = _agent(shared, kube, namespace, "filed")
    token = agent.token_file.read_text()
    agent.token_file.unlink()
    assert agent.start(connected=False).process.wait() == 1
    assert f"{agent.token_file} cannot be read: No such file" in agent.log.read_text()

    agent.token_file.write_text(token)
    agent.start()
    agent.token_file.write_text("\n")
    (connection,) = _connections(shared, "filed")
    shared.kas.cli("token", "revoke", str(connection["token_id"]))
    wait_until(lambda: "is empty: put the line in" in agent.log.read_text(), what="the empty file is logged")
    agent.token_file.write_text(_new_token(shared, "filed"))

    wait_until(agent.connected, what="the agent is in")
    driven.wait("healthy")


def test_a_token_that_is_rotated_while_connected_moves_no_stream_and_is_used_at_the_next(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    agent, driven = _agent(shared, kube, namespace, "rotated")
    agent.start()
    driven.wait("healthy")
    (first,) = _connections(shared, "rotated")

    agent.token_file.write_text(_new_token(shared, "rotated"))
    driven.goes_on()
    assert [connection["id"] for connection in _connections(shared, "rotated")] == [first["id"]]

    shared.kas.cli("token", "revoke", str(first["token_id"]))
    wait_until(
        lambda: [c for c in _connections(shared, "rotated") if c["token_id"] != first["token_id"]],
        what="it is back with the new token",
    )
    driven.goes_on()


def _connections(shared: Installation, name: str) -> list[dict[str, str]]:
    return next(list(agent["connections"]) for agent in shared.kas.get("agents") if agent["name"] == name)
