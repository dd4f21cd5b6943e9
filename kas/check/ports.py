"""Whether kas can listen where it should; ports that a running kas holds are well held."""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from agentlink.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kas.settings.values import Address

_AREA = "ports"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A kas that answers at the observability address. ``problems`` are its checks that failed."""

    ready: bool
    problems: tuple[str, ...]


async def check_ports(addresses: Sequence[tuple[str, Address]], observability: Address) -> list[Finding]:
    """Look at the addresses, each with the name of its setting; ``observability`` tells whether a kas runs."""
    running = await find_running(observability)
    findings = []
    if running is not None and running.ready:
        findings.append(ok(_AREA, "kas", f"a kas runs here and is ready ({observability})"))
    elif running is not None:
        why = "; ".join(running.problems) or "without saying why"
        findings.append(warning(_AREA, "kas", f"a kas runs here and is not ready: {why}", "look at its log"))
    return findings + [_check_port(name, address, running) for name, address in addresses]


def _check_port(name: str, address: Address, running: Running | None) -> Finding:
    if address.port == 0:
        return warning(_AREA, name, f"{address} takes another port at each start", "name the port")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a connection that has just ended does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and running is not None:
            return ok(_AREA, name, f"{address} is held by the kas that runs")
        if error.errno == errno.EADDRINUSE:
            remedy = "end the program that holds it (ss -ltnp shows which), or set another port"
            return failed(_AREA, name, f"{address} is held by another program", remedy)
        remedy = "name an address of this machine, or 0.0.0.0 for all; ports below 1024 need a privilege"
        return failed(_AREA, name, f"kas cannot listen on {address}: {error.strerror}", remedy)
    if running is not None:
        message = f"{address} is free, although a kas runs here"
        return warning(_AREA, name, message, "was it started with other settings? start it again")
    return ok(_AREA, name, f"{address} is free")


async def find_running(observability: Address) -> Running | None:
    """Ask the observability address; None where no kas answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(observability.host, observability.host)  # noqa: S104 - not listened on
    url = f"http://{f'[{host}]' if ':' in host else host}:{observability.port}/readiness"
    try:
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            body = await answer.json()
        return Running(
            body["status"] == "ready",
            tuple(f"{check['name']}: {check['message']}" for check in body["checks"] if not check["ok"]),
        )
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError):
        return None
