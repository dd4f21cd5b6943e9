"""What comes after HTTP/2's first bytes: pings, bombs, dribble, messages nobody wants. Others are not disturbed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentlink import limits
from agentlink.address import parse_kas_address
from agentlink.newcomers import NewcomerLimits
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import agent, running, until
from tests.support.http2 import ACK, GOAWAY, PING, PREFACE, SETTINGS, Frame, frame, read_frame
from tests.support.network import Network

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator

    from tests.support.agent_link import Kas

BOMB = """
import grpc, sys
channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.max_send_message_length", -1)])
metadata = [("authorization", "Bearer " + sys.argv[2])]
call = channel.unary_unary("/agentlink.v1.AgentLink/Report", lambda body: body, lambda body: body)
try:
    call(bytes(256 << 20), compression=grpc.Compression.Gzip, timeout=60, metadata=metadata)
except grpc.RpcError as error:
    print(error.code().name)
"""


@pytest.fixture(params=["ws", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bystander(kas: Kas) -> AsyncIterator[None]:
    secret, _ = await kas.register("bystander")
    async with agent(kas.url("ws"), secret) as it:
        await it.link.wait_connected()
        since = it.link.state
        yield
        await it.link.report(wire.ReportRequest())
        assert it.link.state == since


@pytest.fixture
async def kas(tmp_path: Path) -> AsyncIterator[Kas]:
    # To compress a bomb may take longer than a stranger has.
    patient = ListenerSettings(websocket_port=0, grpc_port=0, newcomers=NewcomerLimits(seconds=60))
    async with running(patient, tmp_path) as it:
        yield it


class TestPings:
    @staticmethod
    async def begin(kas: Kas) -> tuple[StreamReader, StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", kas.listener.grpc_port)
        writer.write(PREFACE + SETTINGS)
        return reader, writer

    @staticmethod
    async def answers(reader: StreamReader, count: int) -> list[Frame]:
        """Read until that many pings are answered, or the other side has had enough."""
        found: list[Frame] = []
        async with asyncio.timeout(30):
            while len(found) < count and (got := await read_frame(reader)) is not None:
                if got.kind == GOAWAY or (got.kind == PING and got.flags & ACK):
                    found.append(got)
                if got.kind == GOAWAY:
                    break
        return found

    async def test_of_idle_connections_are_answered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """GitLab's agents ping every 55 s, five times as rarely as is allowed; here the same in small."""
        assert limits.MIN_PING_SECONDS * 5 <= 55
        monkeypatch.setattr(limits, "MIN_PING_SECONDS", 0.1)
        async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as kas:
            reader, writer = await self.begin(kas)
            for number in range(6):
                writer.write(frame(PING, number.to_bytes(8, "big")))
                assert [got.kind for got in await self.answers(reader, 1)] == [PING]
                await asyncio.sleep(0.2)
            writer.close()

    @pytest.mark.usefixtures("bystander")
    async def test_without_end_are_told_to_calm_down(self, kas: Kas) -> None:
        reader, writer = await self.begin(kas)
        writer.write(b"".join(frame(PING, number.to_bytes(8, "big")) for number in range(100)))
        last = (await self.answers(reader, 1000))[-1]
        assert last.kind == GOAWAY
        assert last.payload.endswith(b"too_many_pings")
        writer.close()


def test_ordinary_proxies_see_traffic_before_they_lose_patience() -> None:
    # nginx, HAProxy, AWS and Google: 50 s to 60 s of silence.
    assert limits.KEEPALIVE_SECONDS <= 45
    assert limits.MIN_PING_SECONDS < limits.KEEPALIVE_SECONDS


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("known", [True, False])
async def test_a_compressed_message_is_not_unpacked_beyond_what_a_message_may_be(kas: Kas, *, known: bool) -> None:
    secret = (await kas.register())[0] if known else "a stranger's"
    forget_peak()
    before = peak_bytes()
    command = [sys.executable, "-c", BOMB, f"127.0.0.1:{kas.listener.grpc_port}", secret]
    bomber = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    # A stranger's is not even read.
    assert bomber.stdout.strip() == (b"RESOURCE_EXHAUSTED" if known else b"UNAUTHENTICATED")
    assert peak_bytes() - before < 64 << 20


@pytest.mark.usefixtures("bystander")
async def test_a_message_that_is_none_or_too_large_is_refused_and_the_connection_serves_on(
    kas: Kas, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret, _ = await kas.register()
    async with open_channel(parse_kas_address(kas.url(transport)), secret, None) as channel:
        raw = channel.connection.unary_unary("/agentlink.v1.AgentLink/Report", bytes, bytes)
        for body, code in (
            (bytes(limits.MESSAGE_BYTES - 10), grpc.StatusCode.INVALID_ARGUMENT),  # zeros are no message
            (bytes(limits.MESSAGE_BYTES + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await raw(body, metadata=channel.metadata)
            assert refused.value.code() is code
        assert "DecodeError" not in caplog.text
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        await stub.Report(wire.ReportRequest(), metadata=channel.metadata)


async def test_bytes_that_come_one_by_one_make_a_session_all_the_same(kas: Kas, transport: str) -> None:
    network = Network(chunk=1)
    secret, _ = await kas.register()
    port = kas.listener.websocket_port if transport == "ws" else kas.listener.grpc_port
    async with network.to(port), agent(f"{transport}://127.0.0.1:{network.port}", secret) as it:
        kas.send(wire.KasMessage(configuration=wire.Configuration(commit="whole")))
        await until(lambda: [message.configuration.commit for message in it.received] == ["whole"])
        await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))


@pytest.mark.usefixtures("bystander")
async def test_an_agent_that_stops_reading_holds_up_its_own_stream_only(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    may_read = asyncio.Event()
    got = 0

    async def consume(_: wire.KasMessage) -> None:
        nonlocal got
        await may_read.wait()
        got += 1

    megabyte = wire.KasMessage(
        snapshot_files=wire.SnapshotFiles(files=[wire.ManifestFile(path="a", objects=[bytes(1 << 20)])])
    )
    async with agent(kas.url(transport), secret, consume=consume) as it:
        for _ in range(64):
            kas.send(megabyte)
        await it.link.wait_connected()
        await until(lambda: kas.taken > 0)
        # What its calls bring up is not behind what it does not read.
        await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))
        assert kas.taken < 32
        may_read.set()
        await until(lambda: got == 64)


async def test_one_that_only_begins_calls_is_bounded_in_them(kas: Kas) -> None:
    secret, _ = await kas.register()
    async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        calls = [stub.Connect(metadata=channel.metadata) for _ in range(3 * limits.STREAMS_PER_CONNECTION)]  # type: ignore[call-arg]
        other_secret, _ = await kas.register("other")
        async with agent(kas.url("grpc"), other_secret) as it:
            await it.link.wait_connected()
        assert kas.hellos[0][0].agent_name == "other"
        for call in calls:
            call.cancel()
