"""Many that come at once: agents after a restart, one token in too many places, strangers that only connect."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest
from websockets.asyncio.client import connect

from agentk.gitops.channels import open_channel, retry_after_of
from agentlink import limits, newcomers
from agentlink.address import parse_kas_address
from agentlink.newcomers import NewcomerLimits
from agentlink.tunnel import SUBPROTOCOL
from agentlink.tunnel_client import TunnelError, open_tunnel
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc import auth
from kas.rpc.admission import AdmissionLimits
from kas.rpc.listener import ListenerSettings
from kas.rush import FEW
from tests.support.agent_link import agent, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.agent_link import Kas


def settings(*, per_second: float = 1000, per_token: int = 1000) -> ListenerSettings:
    limits_ = AdmissionLimits(per_second=per_second, per_token=per_token)
    return ListenerSettings(websocket_port=0, grpc_port=0, admission=limits_)


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_those_that_are_sent_away_return_at_their_turn_and_all_come_in(tmp_path: Path, transport: str) -> None:
    async with running(settings(per_second=8), tmp_path) as kas, AsyncExitStack() as stack:
        secret, _ = await kas.register()
        agents = [
            await stack.enter_async_context(agent(kas.url(transport), secret, instance_id=str(number)))
            for number in range(30)
        ]
        await until(lambda: any("when it is its turn" in it.link.state.last_error for it in agents))
        await until(lambda: len(kas.listener.sessions) == len(agents))
        # Nobody took part in a race: each session began once, and no token was taken for a bad one.
        assert len(kas.connected) == len(agents)
        assert kas.refused == []


async def test_one_more_session_than_a_token_may_have_is_refused_with_a_time_to_return(tmp_path: Path) -> None:
    async with running(settings(per_token=2), tmp_path) as kas, AsyncExitStack() as stack:
        secret, _ = await kas.register()
        for number in range(2):
            it = await stack.enter_async_context(agent(kas.url("grpc"), secret, instance_id=str(number)))
            await it.link.wait_connected()
        third = await stack.enter_async_context(agent(kas.url("grpc"), secret, instance_id="third"))
        await until(lambda: "2 sessions are open with this token" in third.link.state.last_error)
        # Another token of the same agent, or an agentk that connects anew, is not concerned.
        other, _ = await kas.register()
        fourth = await stack.enter_async_context(agent(kas.url("grpc"), other, instance_id="fourth"))
        await fourth.link.wait_connected()
        again = await stack.enter_async_context(agent(kas.url("grpc"), secret, instance_id="1"))
        await again.link.wait_connected()
        # The first link of that instance comes back as well, and each in turn replaces the other.
        await until(
            lambda: sorted(session.meta.instance_id for session in kas.listener.sessions.list()) == ["0", "1", "fourth"]
        )


async def test_too_many_tokens_to_be_looked_up_get_a_time_to_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_LOOKUPS_AT_ONCE", 0)
    monkeypatch.setattr(auth, "_LOOKUPS_WAITING_EACH", 0)
    async with running(settings(), tmp_path) as kas:
        secret, _ = await kas.register()
        await busy_with(kas, secret)


async def busy_with(kas: Kas, secret: str) -> None:
    async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        with pytest.raises(grpc.aio.AioRpcError) as busy:
            await stub.Report(wire.ReportRequest(), metadata=channel.metadata)
    assert busy.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_after_of(busy.value) == 2.0


async def test_a_report_waits_while_a_crowd_is_told_and_is_stored_then(kas: Kas) -> None:
    secret, _ = await kas.register()
    read = asyncio.Event()
    async with agent(kas.url("grpc"), secret) as it, asyncio.TaskGroup() as tasks:
        await it.link.wait_connected()
        for _ in range(FEW + 1):
            kas.rush.spawn(tasks, read.wait())
        report = tasks.create_task(it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")])))
        await until(lambda: kas.rush.waiting == 1)
        assert not report.done()
        assert kas.stored == []
        read.set()
        await report
        assert len(kas.stored) == 1


async def test_while_a_crowd_is_told_a_stranger_s_report_is_refused_at_once(kas: Kas) -> None:
    read = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(FEW + 1):
            kas.rush.spawn(tasks, read.wait())
        async with open_channel(parse_kas_address(kas.url("grpc")), "nobody's", None) as channel:
            stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Report(wire.ReportRequest(), metadata=channel.metadata)
        assert (refused.value.code(), kas.rush.waiting) == (grpc.StatusCode.UNAUTHENTICATED, 0)
        read.set()


def few_may_wait() -> ListenerSettings:
    return replace(settings(), newcomers=NewcomerLimits(in_all=40, of_an_address=20))


async def silent(kas: Kas, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return [await asyncio.open_connection("127.0.0.1", kas.listener.websocket_port) for _ in range(count)]


class TestSilence:
    async def test_gives_way_to_those_that_mean_it(self, patient: Kas) -> None:
        connections = await silent(patient, 200)
        secret, _ = await patient.register()
        async with agent(patient.url("ws"), secret) as it:
            await it.link.wait_connected()
        ends = [await asyncio.wait_for(reader.read(), 30) for reader, _ in connections[:150]]
        assert all(end.startswith(b"HTTP/1.1 408 Request Timeout\r\n") for end in ends)
        assert b"no good token was sent, and others wait" in ends[0]
        for _, writer in connections:
            writer.close()

    async def test_of_websockets_too(self, patient: Kas) -> None:
        url = patient.url("ws")
        async with AsyncExitStack() as stack:
            opened = [
                await stack.enter_async_context(connect(url, subprotocols=[SUBPROTOCOL], compression=None))
                for _ in range(30)
            ]
            await opened[0].wait_closed()
            assert (opened[0].close_code, opened[0].close_reason) == (1013, "no good token was sent, and others wait")
            assert opened[-1].close_code is None

    async def test_of_all_that_are_new_sends_the_next_one_away_with_a_time_to_return(self, impatient: Kas) -> None:
        connections = await silent(impatient, 20)
        with pytest.raises(TunnelError, match="too many connections are being opened just now") as busy:
            async with open_tunnel(impatient.url("ws"), None):
                pass
        assert busy.value.retry_after is not None
        assert busy.value.retry_after >= 1
        for _, writer in connections:
            writer.close()

    @pytest.fixture
    async def patient(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Kas]:
        monkeypatch.setattr(newcomers, "PATIENCE_SECONDS", 0.0)
        async with running(few_may_wait(), tmp_path) as kas:
            yield kas

    @pytest.fixture
    async def impatient(self, tmp_path: Path) -> AsyncIterator[Kas]:
        async with running(few_may_wait(), tmp_path) as kas:
            yield kas


async def test_silence_on_the_direct_port_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BYTES_SECONDS", 0.3)
    async with running(replace(settings(), newcomers=NewcomerLimits(seconds=0.3)), tmp_path) as kas:
        for port in (kas.listener.grpc_port, kas.listener.websocket_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(30):
                while await reader.read(4096):
                    pass
            writer.close()


@pytest.mark.parametrize("transport", ["ws", "grpc"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_who_has_shown_a_token_stays_when_the_time_of_strangers_is_over(
    tmp_path: Path, transport: str, host: str
) -> None:
    bounds = replace(settings(), host=host, newcomers=NewcomerLimits(seconds=2.0))
    async with running(bounds, tmp_path) as kas:
        secret, _ = await kas.register()
        port = kas.listener.websocket_port if transport == "ws" else kas.listener.grpc_port
        async with agent(f"{transport}://{f'[{host}]' if ':' in host else host}:{port}", secret) as it:
            await it.link.wait_connected()
            since = it.link.state
            stranger_reader, stranger = await asyncio.open_connection(host, port)
            async with asyncio.timeout(30):
                with suppress(ConnectionError):
                    while await stranger_reader.read(4096):
                        pass
            stranger.close()
            await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))
            assert it.link.state == since
