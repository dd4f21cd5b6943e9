"""What a NetworkPolicy admits, as Kubernetes defines it. Pure: no network plugin runs here that would enforce one.

Only what our own policies use is understood, and everything else is an error: an evaluation that guesses is worth less
than none.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def selects(policy: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a pod with these labels is under a policy."""
    selector = _known(policy["spec"]["podSelector"], "matchLabels")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def admits(policy: Mapping[str, Any], direction: str, address: str, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a selected pod may talk with a peer.

    Args:
        policy: the object.
        direction: ``Ingress``, to ``port`` of the pod, or ``Egress``, to ``port`` of the peer.
        address: the peer's.
        port: a number.
        protocol: ``TCP``, ``UDP`` or ``SCTP``.
    """
    spec = _known(policy["spec"], "podSelector", "policyTypes", "ingress", "egress")
    if direction not in spec["policyTypes"]:
        return True
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    return any(
        _port_fits(_known(rule, "ports", peers), port, protocol) and _peer_fits(rule.get(peers), address)
        for rule in spec.get(direction.lower(), [])
    )


def _port_fits(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = [_known(one, "protocol", "port", "endPort") for one in rule.get("ports", [])]
    return not ports or any(
        one.get("protocol", "TCP") == protocol
        and ("port" not in one or int(one["port"]) <= port <= int(one.get("endPort", one["port"])))
        for one in ports
    )


def _peer_fits(peers: list[dict[str, Any]] | None, address: str) -> bool:
    if not peers:
        return True  # from, or to, anywhere
    blocks = [_known(peer, "ipBlock")["ipBlock"] for peer in peers]
    return any(
        ip_address(address) in ip_network(block["cidr"])
        and not any(ip_address(address) in ip_network(hole) for hole in block.get("except", []))
        for block in blocks
    )


def _known(part: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    unknown = set(part) - set(keys)
    assert not unknown, f"this evaluation does not know {sorted(unknown)}"
    return part
