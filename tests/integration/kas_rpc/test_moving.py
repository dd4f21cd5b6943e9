"""kas asks agents to move: the new connection is in before the old one is left, and nothing is lost or said twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentk.gitops.link import LinkError, Reconnect
from agentlink.address import parse_kas_address
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc.listener import ListenerSettings
from kas.rpc.sessions import Ending
from tests.support.agent_link import agent, running, until
from tests.support.network import Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.agent_link import Kas

TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "grpc"])


def configuration(commit: str) -> wire.KasMessage:
    return wire.KasMessage(configuration=wire.Configuration(commit=commit))


@TRANSPORTS
async def test_an_agent_moves_at_its_connections_age_without_ever_being_away(tmp_path: Path, transport: str) -> None:
    settings = ListenerSettings(websocket_port=0, grpc_port=0, age=0.5, grace=30)
    async with running(settings, tmp_path) as kas:
        secret, _ = await kas.register()
        async with agent(kas.url(transport), secret) as it, asyncio.TaskGroup() as group:
            await it.link.wait_connected()
            away: list[str] = []

            async def watch() -> None:
                while True:
                    if it.link.state.connected_since is None or not kas.listener.sessions.list():
                        away.append(it.link.state.last_error)
                    await asyncio.sleep(0)

            watching = group.create_task(watch())
            sent = 0
            while len(kas.disconnected) < 3:
                kas.send(configuration(str(sent)))
                sent += 1
                await it.link.report(wire.ReportRequest(reports=[wire.Report(id=str(sent))]))
                await asyncio.sleep(0.01)
            watching.cancel()
            assert away == []
            assert {reason for _, reason in kas.disconnected} == {Ending.MOVED.value}
            assert len(kas.stored) == sent
            # The test's publisher has one queue for all streams: what a closed one took is gone, as a real one resumes.
            got = [int(message.configuration.commit) for message in it.received]
            assert got == sorted(set(got))


@TRANSPORTS
async def test_reports_under_way_come_to_their_end_on_the_connection_that_is_left(
    tmp_path: Path, transport: str
) -> None:
    settings = ListenerSettings(websocket_port=0, grpc_port=0, age=0.3, grace=30)
    async with running(settings, tmp_path) as kas:
        secret, _ = await kas.register()
        async with agent(kas.url(transport), secret) as it, asyncio.TaskGroup() as group:
            await it.link.wait_connected()
            kas.may_store.clear()
            reporting = group.create_task(it.link.report(wire.ReportRequest(reports=[wire.Report(id="slow")])))
            await until(lambda: len(kas.disconnected) >= 1)
            kas.may_store.set()
            await reporting
            assert [request.reports[0].id for _, request in kas.stored] == ["slow"]


@TRANSPORTS
async def test_a_kas_that_stops_hands_its_agents_to_another(tmp_path: Path, transport: str) -> None:
    stop = asyncio.Event()
    started: asyncio.Future[Kas] = asyncio.get_running_loop().create_future()

    async def serve_old() -> None:
        async with running(ListenerSettings(websocket_port=0, grpc_port=0, drain=8), tmp_path) as kas:
            started.set_result(kas)
            await stop.wait()

    def port(kas: Kas) -> int:
        return kas.listener.websocket_port if transport == "ws" else kas.listener.grpc_port

    network = Network()
    async with (
        asyncio.TaskGroup() as group,
        running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as new,
    ):
        stopping = group.create_task(serve_old())
        old = await started
        secret, _ = await old.register()
        async with network.to(port(old)), agent(f"{transport}://127.0.0.1:{network.port}", secret) as it:
            await it.link.wait_connected()
            stop.set()
            # The balancer still leads to the one that stops, which lets nobody in any more.
            await until(lambda: old.listener.sessions.draining)
            await until(lambda: old.listener.sessions.asked_to_move(old.connected[0].connection_id))
            old.send(configuration("still here"))
            await until(lambda: len(it.received) == 1)
            assert len(old.connected) == 1
            network.target = port(new)
            await until(lambda: len(new.listener.sessions) == 1)
            await stopping
            assert it.link.state.connected_since is not None
            assert [reason for _, reason in old.disconnected] == [Ending.MOVED.value]
            new.send(configuration("moved"))
            await until(lambda: len(it.received) == 2)
            await it.link.report(wire.ReportRequest())
            assert len(new.stored) == 1


async def test_an_agent_that_does_not_know_the_question_is_sent_off_after_the_grace(tmp_path: Path) -> None:
    settings = ListenerSettings(websocket_port=0, grpc_port=0, age=0.2, grace=0.2)
    async with running(settings, tmp_path) as kas:
        secret, _ = await kas.register()
        async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
            call = agentlink_pb2_grpc.AgentLinkStub(channel.connection).Connect(  # type: ignore[call-arg]
                metadata=channel.metadata
            )
            await call.write(wire.AgentMessage(hello=wire.Hello()))
            asked = [message.WhichOneof("message") async for message in _until_end(aiter(call))]
            assert asked == [None, "moving"]
            assert (await call.code(), await call.details()) == (grpc.StatusCode.UNAVAILABLE, Ending.OLD.value)


async def _until_end(call: AsyncIterator[wire.KasMessage]) -> AsyncIterator[wire.KasMessage]:
    with suppress(grpc.aio.AioRpcError):
        async for message in call:
            yield message


async def test_a_report_whose_connection_is_given_up_is_said_to_be_in_doubt(kas: Kas) -> None:
    secret, _ = await kas.register()

    async def consume(_: wire.KasMessage) -> None:
        raise Reconnect("enough of this one")

    async with agent(kas.url("grpc"), secret, consume=consume) as it, asyncio.TaskGroup() as group:
        await it.link.wait_connected()
        kas.may_store.clear()

        async def report() -> None:
            with pytest.raises(LinkError):
                await it.link.report(wire.ReportRequest())

        reporting = group.create_task(report())
        await until(lambda: kas.storing == 1)
        kas.send(configuration("x"))
        await reporting
        kas.may_store.set()
