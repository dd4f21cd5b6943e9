"""Through nginx with TLS, as through an ingress: both transports work, silence is survived, and so is a reload."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentlink import limits
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import agent, running, until
from tests.support.nginx import Nginx, nginx, program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.agent_link import Authority, Kas

pytestmark = pytest.mark.skipif(program() is None, reason="nginx is not installed: scripts/system-packages tests")

SILENCE = 4
"""Seconds until the proxy loses patience: as long as eight pings, for a machine that does much else."""

TRANSPORTS = pytest.mark.parametrize("transport", ["wss", "grpcs"])


@TRANSPORTS
async def test_an_agent_for_which_there_is_nothing_yet_is_connected_too(
    quiet: tuple[Kas, Nginx], authority: Authority, transport: str
) -> None:
    kas, front = quiet
    secret, _ = await kas.register()
    async with agent(url(front, transport), secret, ca=authority.certificate) as it:
        await it.link.wait_connected()


@pytest.fixture
async def quiet(authority: Authority, tmp_path: Path) -> AsyncIterator[tuple[Kas, Nginx]]:
    """Run both without any pings in the time of a test."""
    async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as kas:
        ports = {"websocket_port": kas.listener.websocket_port, "grpc_port": kas.listener.grpc_port}
        with nginx(tmp_path, authority.server, **ports, silence=60, grpc_silence=60) as front:
            yield kas, front


@pytest.fixture
async def kas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kas]:
    """Run one whose ends ping often, as the proxy is impatient."""
    monkeypatch.setattr(limits, "KEEPALIVE_SECONDS", 0.5)
    monkeypatch.setattr(limits, "MIN_PING_SECONDS", 0.2)
    async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as running_kas:
        yield running_kas


@pytest.fixture
def front(kas: Kas, authority: Authority, tmp_path: Path) -> Iterator[Nginx]:
    listener = kas.listener
    ports = {"websocket_port": listener.websocket_port, "grpc_port": listener.grpc_port}
    with nginx(tmp_path, authority.server, **ports, silence=SILENCE, grpc_silence=3600) as running_nginx:
        yield running_nginx


def url(front: Nginx, transport: str) -> str:
    return f"{transport}://localhost:{front.websocket_port if transport == 'wss' else front.grpc_port}"


def configuration(commit: str) -> wire.KasMessage:
    return wire.KasMessage(configuration=wire.Configuration(commit=commit))


@TRANSPORTS
async def test_silence_longer_than_the_proxys_patience_is_survived(
    kas: Kas, front: Nginx, authority: Authority, transport: str
) -> None:
    secret, _ = await kas.register()
    async with agent(url(front, transport), secret, ca=authority.certificate) as it:
        await it.link.wait_connected()
        since = it.link.state
        await asyncio.sleep(SILENCE + 1)  # the silence itself
        assert it.link.state == since
        kas.send(configuration("after silence"))
        await until(lambda: [message.configuration.commit for message in it.received] == ["after silence"])
        await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))
        assert len(kas.connected) == 1


@TRANSPORTS
async def test_a_reload_of_the_proxy_moves_agents_without_loss(
    kas: Kas, front: Nginx, authority: Authority, transport: str
) -> None:
    secret, _ = await kas.register()
    async with agent(url(front, transport), secret, ca=authority.certificate) as it:
        await it.link.wait_connected()
        kas.send(configuration("before"))
        await until(lambda: len(it.received) == 1)
        front.reload()
        await until(lambda: len(kas.connected) == 2 and len(kas.listener.sessions) == 1)
        await it.link.wait_connected()
        kas.send(configuration("after"))
        await until(lambda: len(it.received) == 2)
        await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))
        assert [message.configuration.commit for message in it.received] == ["before", "after"]
        assert [request.reports[0].id for _, request in kas.stored] == ["r"]
