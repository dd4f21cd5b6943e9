"""The generated NetworkPolicy lets agentk do its work and nothing else, read as Kubernetes defines policies."""

from __future__ import annotations

from typing import Any

import pytest

from kas.install.objects import objects
from kas.install.values import read_values
from tests.support.network_policy import admits, selects

ANYWHERE = ("10.96.0.1", "203.0.113.7", "2001:db8::7")


def made(**more: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the policy and the pod's template."""
    given = {"kasAddress": "wss://kas.example.com:8443", "token": "glagent-x", **more}
    all_of_it = list(objects(read_values(given), "agents"))
    (policy,) = (one for one in all_of_it if one["kind"] == "NetworkPolicy")
    (deployment,) = (one for one in all_of_it if one["kind"] == "Deployment")
    return policy, deployment["spec"]["template"]


def test_it_is_about_agentks_pod_and_no_other() -> None:
    policy, pod = made(namePrefix="west-")
    _, other = made(namePrefix="east-")
    assert selects(policy, pod["metadata"]["labels"])
    assert not selects(policy, other["metadata"]["labels"])
    assert not selects(policy, {"app": "web"})
    assert policy["metadata"]["namespace"] == "agents"


@pytest.mark.parametrize("peer", ANYWHERE)
def test_agentk_reaches_name_servers_kas_and_the_api_server_wherever_they_are(peer: str) -> None:
    policy, _ = made()
    needed = [(53, "UDP"), (53, "TCP"), (5353, "UDP"), (8443, "TCP"), (443, "TCP"), (6443, "TCP")]
    assert [one for one in needed if not admits(policy, "Egress", peer, *one)] == []


@pytest.mark.parametrize("port", [22, 25, 80, 2379, 3306, 5432, 6379, 8080, 8150, 10250])
def test_nothing_else_is_reached(port: int) -> None:
    policy, _ = made()
    assert not any(admits(policy, "Egress", peer, port) for peer in ANYWHERE)
    assert not admits(policy, "Egress", ANYWHERE[0], 443, "UDP")


def test_only_probes_and_metrics_are_reached_from_outside() -> None:
    policy, pod = made()
    (container,) = pod["spec"]["containers"]
    probed = {item["containerPort"]: item["name"] for item in container["ports"]}
    assert [port for port in (*probed, 8080, 8150, 443) if admits(policy, "Ingress", "10.0.0.9", port)] == [*probed]


def test_what_the_values_add_is_reached_too() -> None:
    policy, _ = made(networkPolicy={"apiServerPorts": [16443], "otherPorts": [3128]})
    assert admits(policy, "Egress", "10.0.0.1", 16443)
    assert admits(policy, "Egress", "10.0.0.1", 3128)
    assert not admits(policy, "Egress", "10.0.0.1", 6443)
