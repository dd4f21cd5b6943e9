from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentk.gitops.link import LinkError, NotConnected, Reconnect, ReportRejected
from agentlink import limits
from agentlink.address import parse_kas_address
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc.auth import Refusal, new_agent_token
from kas.rpc.refusals import REFUSALS_AT_ONCE
from kas.store.errors import StoreUnavailable
from tests.support.agent_link import Agent, Authority, Kas, agent, until

if TYPE_CHECKING:
    from pathlib import Path

TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "grpc"])
MEBIBYTE = 1024 * 1024


def configuration(commit: str) -> wire.KasMessage:
    return wire.KasMessage(configuration=wire.Configuration(commit=commit))


def chunk(size: int) -> wire.KasMessage:
    file = wire.ManifestFile(path="a", objects=[bytes(size)])
    return wire.KasMessage(snapshot_files=wire.SnapshotFiles(project_id=1, files=[file]))


def commits(of: Agent) -> list[str]:
    return [message.configuration.commit for message in of.received]


@TRANSPORTS
async def test_messages_go_down_and_reports_go_up(kas: Kas, transport: str) -> None:
    secret, token_id = await kas.register()
    kas.send(configuration("one"))
    async with agent(kas.url(transport), secret) as it:
        await until(lambda: commits(it) == ["one"])
        kas.send(configuration("two"))
        await until(lambda: commits(it) == ["one", "two"])
        assert it.link.state.connected_since is not None
        request = wire.ReportRequest(reports=[wire.Report(id="r")])
        await it.link.report(request)
        assert [(identity.agent_name, got) for identity, got in kas.stored] == [("my-agent", request)]
        (session,) = kas.listener.sessions.list()
        assert session.transport == {"ws": "websocket", "grpc": "grpc"}[transport]
        assert session.peer.startswith("127.0.0.1:")
        assert (session.identity.token_id, session.meta.version) == (token_id, "1.0")
        assert kas.connected == [session]
        (token,) = await kas.database.tokens.list(session.identity.agent_id)
        assert token.last_used_at is not None
    await until(lambda: [(s, r) for s, r in kas.disconnected] == [(session, "the connection was lost")])
    assert kas.listener.sessions.list() == ()
    assert kas.streams == []


@TRANSPORTS
async def test_tls_with_an_own_authority(kas_tls: Kas, authority: Authority, transport: str) -> None:
    secret, _ = await kas_tls.register()
    async with agent(kas_tls.url(transport), secret, ca=authority.certificate) as it:
        await it.link.wait_connected()
    async with agent(kas_tls.url(transport), secret) as stranger:
        await until(lambda: "--ca-cert-file" in stranger.link.state.last_error)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("ws", "wss://"), ("grpc", "grpcs://")],
)
async def test_plain_text_to_a_tls_port_names_the_right_scheme(kas_tls: Kas, asked: str, hint: str) -> None:
    secret, _ = await kas_tls.register()
    url = kas_tls.url(asked).replace("s://", "://")
    async with agent(url, secret) as it:
        await until(lambda: hint in it.link.state.last_error)


@pytest.mark.parametrize(("asked", "hint"), [("ws", "ws://"), ("grpc", "grpc://")])
async def test_tls_to_a_plain_port_names_the_right_scheme(kas: Kas, asked: str, hint: str) -> None:
    secret, _ = await kas.register()
    async with agent(kas.url(asked).replace("://", "s://"), secret) as it:
        await until(lambda: f"{hint} (without TLS)" in it.link.state.last_error)


async def test_the_wrong_one_of_the_two_ports_is_named(kas: Kas) -> None:
    secret, _ = await kas.register()
    async with agent(f"ws://localhost:{kas.listener.grpc_port}", secret) as it:
        await until(lambda: "use grpc://" in it.link.state.last_error)
    async with agent(f"grpc://localhost:{kas.listener.websocket_port}", secret) as it:
        await until(lambda: "ws://" in it.link.state.last_error)


@TRANSPORTS
async def test_nothing_listening_is_said(kas: Kas, unused_port: int, transport: str) -> None:
    secret, _ = await kas.register()
    async with agent(f"{transport}://localhost:{unused_port}", secret) as it:
        await until(lambda: "nothing listens on that port" in it.link.state.last_error)
        with pytest.raises(NotConnected, match="nothing listens"):
            await it.link.report(wire.ReportRequest())


@TRANSPORTS
async def test_a_wrong_token_is_refused_and_recorded(kas: Kas, transport: str) -> None:
    async with agent(kas.url(transport), new_agent_token()[0]) as it:
        await until(lambda: "kas refuses this agent: the token is not known here" in it.link.state.last_error)
    assert set(kas.refused) == {(Refusal.UNKNOWN, None)}
    assert kas.hellos == []


@TRANSPORTS
async def test_revoking_a_token_ends_its_stream_and_no_other(kas: Kas, transport: str) -> None:
    secret, token_id = await kas.register("first")
    other, _ = await kas.register("second")
    async with agent(kas.url(transport), secret) as it, agent(kas.url(transport), other) as second:
        await it.link.wait_connected()
        await second.link.wait_connected()
        await kas.revoke(token_id)
        await until(lambda: "revoked" in it.link.state.last_error)
        await until(lambda: [s.identity.agent_name for s in kas.listener.sessions.list()] == ["second"])
        assert [reason for _, reason in kas.disconnected] == ["the token was revoked"]
        assert second.link.state.connected_since is not None
    async with agent(kas.url(transport), secret) as it:
        await until(lambda: "the token was revoked" in it.link.state.last_error)
    revoked = next(session.identity for session in kas.connected if session.identity.token_id == token_id)
    assert set(kas.refused) == {(Refusal.REVOKED, revoked.agent_id)}


@TRANSPORTS
async def test_a_rotated_token_is_read_at_the_next_connection(kas: Kas, transport: str) -> None:
    first, _ = await kas.register("my-agent")
    second, _ = await kas.register("my-agent")
    current = [first]
    async with agent(kas.url(transport), "", token=lambda: current[0]) as it:
        await it.link.wait_connected()
        current[0] = second
        kas.listener.sessions.close_all()
        await until(lambda: [identity.token_id for identity, _ in kas.hellos] == [1, 2])


@TRANSPORTS
async def test_fifty_mebibytes_pass_in_order(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    sizes: list[int] = []

    async def consume(message: wire.KasMessage) -> None:
        sizes.append(len(message.snapshot_files.files[0].objects[0]))

    for number in range(50):
        kas.send(chunk(MEBIBYTE + number))
    async with agent(kas.url(transport), secret, consume=consume):
        await until(lambda: len(sizes) == 50)
    assert sizes == [MEBIBYTE + number for number in range(50)]


@TRANSPORTS
async def test_a_single_object_of_the_largest_size_passes(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    kas.send(chunk(limits.OBJECT_BYTES))
    async with agent(kas.url(transport), secret) as it:
        await until(lambda: len(it.received) == 1)


@TRANSPORTS
async def test_a_slow_agent_slows_kas_down(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    gate = asyncio.Event()
    got = 0

    async def consume(_: wire.KasMessage) -> None:
        nonlocal got
        await gate.wait()
        got += 1

    for _ in range(100):
        kas.send(chunk(MEBIBYTE))
    async with agent(kas.url(transport), secret, consume=consume):
        await until(lambda: kas.taken > 0)
        last = -1
        # Until nothing more is taken: what then is on the way is what all buffers between the two hold.
        while last != kas.taken:
            last = kas.taken
            await asyncio.sleep(0.5)
        assert kas.taken < 40
        gate.set()
        await until(lambda: got == 100)


@TRANSPORTS
async def test_a_stream_to_a_reader_that_stands_still_ends_on_revocation(kas: Kas, transport: str) -> None:
    secret, token_id = await kas.register()
    entered = asyncio.Event()

    async def consume(_: wire.KasMessage) -> None:
        entered.set()
        await asyncio.Event().wait()

    for _ in range(50):
        kas.send(chunk(MEBIBYTE))
    async with agent(kas.url(transport), secret, consume=consume):
        await entered.wait()
        await kas.revoke(token_id)
        await until(lambda: kas.streams == [])
        assert kas.listener.sessions.list() == ()


@TRANSPORTS
async def test_a_consumer_can_ask_for_a_new_connection(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()

    async def consume(message: wire.KasMessage) -> None:
        raise Reconnect(f"cannot use {message.configuration.commit}")

    kas.send(configuration("one"))
    async with agent(kas.url(transport), secret, consume=consume) as it:
        await until(lambda: len(kas.hellos) == 2)
        await it.link.wait_connected()


@TRANSPORTS
async def test_a_second_connection_of_one_agentk_replaces_the_first(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    stranger, _ = await kas.register("another")
    async with (
        agent(kas.url(transport), stranger) as other,
        open_channel(parse_kas_address(kas.url(transport)), secret, None) as channel,
    ):
        first = agentlink_pb2_grpc.AgentLinkStub(channel.connection).Connect(  # type: ignore[call-arg]
            metadata=channel.metadata
        )
        await first.write(wire.AgentMessage(hello=wire.Hello(meta=wire.AgentMeta(instance_id="instance"))))
        await until(lambda: len(kas.connected) == 2)
        async with agent(kas.url(transport), secret) as second:
            assert await first.read() == wire.KasMessage()
            with pytest.raises(grpc.aio.AioRpcError, match="the same agentk connected again"):
                await first.read()
            await second.link.wait_connected()
            assert [s.identity.agent_name for s, _ in kas.disconnected] == ["my-agent"]
            assert other.link.state.connected_since is not None


@TRANSPORTS
async def test_reports_that_cannot_be_stored_are_to_be_sent_again(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()
    async with agent(kas.url(transport), secret) as it:
        await it.link.wait_connected()
        for error in (StoreUnavailable("locked"), RuntimeError("a defect")):
            kas.store_error = error
            with pytest.raises(LinkError, match="send them again") as caught:
                await it.link.report(wire.ReportRequest())
            assert not isinstance(caught.value, ReportRejected)
        kas.store_error = None
        await it.link.report(wire.ReportRequest())
        assert it.link.state.connected_since is not None


async def test_a_batch_that_is_too_large_is_rejected(kas: Kas) -> None:
    secret, _ = await kas.register()
    async with agent(kas.url("ws"), secret) as it:
        await it.link.wait_connected()
        with pytest.raises(ReportRejected, match="at most 1000"):
            await it.link.report(wire.ReportRequest(reports=[wire.Report()] * 1001))
        huge = wire.Report(event=wire.EventReport(message="x" * limits.MESSAGE_BYTES))
        with pytest.raises(ReportRejected):
            await it.link.report(wire.ReportRequest(reports=[huge]))


async def test_a_report_with_a_token_refused_too_often_is_not_rejected_for_ever(kas: Kas) -> None:
    secret, token_id = await kas.register()
    async with agent(kas.url("grpc"), secret) as it:
        await it.link.wait_connected()
        # Ends the belief in the token and not the stream, as when another replica has revoked it.
        await kas.database.tokens.revoke(token_id)
        kas.listener._authenticator.revoke(token_id)
        texts = []
        for _ in range(REFUSALS_AT_ONCE + 1):
            with pytest.raises(LinkError) as caught:
                await it.link.report(wire.ReportRequest())
            assert not isinstance(caught.value, ReportRejected)
            texts.append(str(caught.value))
        assert "too many attempts were refused" in texts[-1]


async def test_a_broken_token_file_is_named_and_read_again(kas: Kas, tmp_path: Path) -> None:
    from agentk.gitops.token_file import read_token  # noqa: PLC0415 - used here only

    secret, _ = await kas.register()
    path = tmp_path / "token"
    async with agent(kas.url("ws"), "", token=lambda: read_token(path)) as it:
        await until(lambda: "cannot be read" in it.link.state.last_error)
        path.write_text(f"{secret}\n")
        await it.link.wait_connected()
