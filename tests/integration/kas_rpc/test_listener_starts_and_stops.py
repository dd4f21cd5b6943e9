from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentlink.address import parse_kas_address
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc import streams
from kas.rpc.listener import ListenerError, ListenerSettings
from kas.tls import TlsFiles
from tests.support.agent_link import Kas, agent, running, until

if TYPE_CHECKING:
    from tests.support.agent_link import Authority

TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "grpc"])
ANY_PORT = ListenerSettings(websocket_port=0, grpc_port=0)


@TRANSPORTS
async def test_an_agent_is_told_that_kas_stops_and_comes_back_after_a_restart(tmp_path: Path, transport: str) -> None:
    async with running(ANY_PORT, tmp_path) as first:
        secret, _ = await first.register()
        ports = (first.listener.websocket_port, first.listener.grpc_port)
        url = first.url(transport)
    async with agent(url, secret) as it:
        async with running(ListenerSettings(websocket_port=ports[0], grpc_port=ports[1]), tmp_path) as second:
            await it.link.wait_connected()
        assert [reason for _, reason in second.disconnected] == ["kas is stopping"]
        await until(lambda: it.link.state.last_error == "kas is stopping" or "refuse" in it.link.state.last_error)
        async with running(ListenerSettings(websocket_port=ports[0], grpc_port=ports[1]), tmp_path) as third:
            await it.link.wait_connected()
            assert len(third.hellos) == 1


@TRANSPORTS
async def test_a_report_under_way_is_still_stored_when_kas_stops(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def store(_: Kas, __: object, ___: wire.ReportRequest) -> None:
        entered.set()
        await go_on.wait()

    monkeypatch.setattr(Kas, "store", store)

    async def report(url: str, secret: str) -> wire.ReportResponse:
        async with open_channel(parse_kas_address(url), secret, None) as channel:
            stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
            return await stub.Report(wire.ReportRequest(), metadata=channel.metadata)

    async with asyncio.TaskGroup() as group, running(ANY_PORT, tmp_path) as kas:
        secret, _ = await kas.register()
        reporting = group.create_task(report(kas.url(transport), secret))
        await entered.wait()
        # Later than the stop begins, which is as soon as this block is left.
        asyncio.get_running_loop().call_later(0.2, go_on.set)
    assert reporting.result() == wire.ReportResponse()


async def test_a_port_that_is_taken_is_named(kas: Kas, tmp_path: Path) -> None:
    taken = ListenerSettings(websocket_port=kas.listener.websocket_port, grpc_port=0)
    with pytest.raises(ListenerError, match=f"websocket listener cannot listen on 127.0.0.1:{taken.websocket_port}"):
        async with running(taken, tmp_path):
            pass
    taken = ListenerSettings(websocket_port=0, grpc_port=kas.listener.grpc_port)
    with pytest.raises(ListenerError, match=f"gRPC listener cannot listen on 127.0.0.1:{taken.grpc_port}"):
        async with running(taken, tmp_path):
            pass


async def test_an_unusable_certificate_is_named(authority: Authority, tmp_path: Path) -> None:
    swapped = TlsFiles(authority.server.key, authority.server.certificate)
    with pytest.raises(ListenerError, match="cannot use certificate"):
        async with running(replace(ANY_PORT, tls=swapped), tmp_path):
            pass


async def test_direct_grpc_can_be_left_out(tmp_path: Path) -> None:
    async with running(replace(ANY_PORT, grpc_port=None), tmp_path) as kas:
        secret, _ = await kas.register()
        assert kas.listener.grpc_port == 0
        async with agent(kas.url("ws"), secret) as it:
            await it.link.wait_connected()


def entries(folder: str) -> list[Path]:
    return list(Path(folder).iterdir())


async def test_stopping_leaves_no_sockets_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of its own, with a short name: pytest's are too long for sockets.
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        async with running(ANY_PORT, tmp_path) as kas:
            secret, _ = await kas.register()
            async with agent(kas.url("ws"), secret) as it:
                await it.link.wait_connected()
                (listening,) = entries(folder)
                assert listening.name.startswith("kas-")
                assert listening.stat().st_mode & 0o777 == 0o700
        assert entries(folder) == []


class TestHello:
    @staticmethod
    async def answer(kas: Kas, *messages: wire.AgentMessage) -> grpc.StatusCode:
        secret, _ = await kas.register()
        async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
            call = agentlink_pb2_grpc.AgentLinkStub(channel.connection).Connect(  # type: ignore[call-arg]
                metadata=channel.metadata
            )
            for message in messages:
                await call.write(message)
            if not messages:
                await call.done_writing()
            code: grpc.StatusCode = await call.code()
            return code

    async def test_must_come_first(self, kas: Kas) -> None:
        assert await self.answer(kas) is grpc.StatusCode.FAILED_PRECONDITION
        assert await self.answer(kas, wire.AgentMessage()) is grpc.StatusCode.FAILED_PRECONDITION

    async def test_must_come_in_time(self, kas: Kas, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "HELLO_SECONDS", 0.01)
        secret, _ = await kas.register()
        async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
            call = agentlink_pb2_grpc.AgentLinkStub(channel.connection).Connect(  # type: ignore[call-arg]
                metadata=channel.metadata
            )
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_must_be_modest(self, kas: Kas) -> None:
        for hello in (
            wire.Hello(meta=wire.AgentMeta(pod_name="x" * 257)),
            wire.Hello(capabilities=["x" * 257]),
            wire.Hello(installation_id="x" * 257),
            wire.Hello(capabilities=["x"] * 10_001),
        ):
            assert await self.answer(kas, wire.AgentMessage(hello=hello)) is grpc.StatusCode.INVALID_ARGUMENT
        assert kas.hellos == []
