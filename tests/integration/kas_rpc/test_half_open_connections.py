"""A network that swallows everything without closing anything, as a lost NAT entry or a pulled cable does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink import limits
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
