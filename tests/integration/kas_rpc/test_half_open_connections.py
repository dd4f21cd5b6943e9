"""A network that swallows everything without closing anything, as a lost NAT entry or a pulled cable does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink import limits
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import agent, running, until
from tests.support.network import Network

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_both_ends_notice_and_the_agent_comes_back(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KEEPALIVE_SECONDS", "KEEPALIVE_TIMEOUT_SECONDS", "MIN_PING_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)
    network = Network()
    async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as kas:
        secret, _ = await kas.register()
        port = kas.listener.websocket_port if transport == "ws" else kas.listener.grpc_port
        async with network.to(port), agent(f"{transport}://127.0.0.1:{network.port}", secret) as it:
            await it.link.wait_connected()
            network.thawed.clear()
            await until(lambda: it.link.state.connected_since is None)
            await until(lambda: len(kas.disconnected) == 1)
            network.thawed.set()
            await it.link.wait_connected()
            await until(lambda: len(kas.listener.sessions.list()) == 1)


async def test_a_connection_that_is_lost_while_kas_writes_is_no_error_of_kas(tmp_path: Path) -> None:
    network = Network()
    async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as kas:
        secret, _ = await kas.register()
        async with network.to(kas.listener.grpc_port), agent(f"grpc://127.0.0.1:{network.port}", secret) as it:
            await it.link.wait_connected()
            network.thawed.clear()
            for _ in range(10):  # more than a connection takes before somebody reads
                kas.send(wire.KasMessage(configuration=wire.Configuration(commit="x" * limits.MEBIBYTE)))
            await until(lambda: bool(kas.taken))
        await until(lambda: bool(kas.disconnected))
        assert [reason for _, reason in kas.disconnected] == ["the connection was lost"]
