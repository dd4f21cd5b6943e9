"""Strangers who hold connections, make up tokens, or flood: bounded and closed; agents go on, and new ones come in."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentlink import limits
from agentlink.address import parse_kas_address
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.overhead import NEWCOMER_BYTES, OVERHEAD_BYTES
from tests.support.agent_link import agent
from tests.support.git_server import GitServer
from tests.support.http2 import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    PING,
    PREFACE,
    PRIORITY,
    RESET,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    frame,
    header,
)
from tests.support.installation import Kas
from tests.support.manifests import config_files, config_map
from tests.support.stranger import CONTINUED, PING_MESSAGE, UPGRADE, Stranger, websocket_frame
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.git_repository import GitRepository

OF_AN_ADDRESS = 40
IN_ALL = 60
BOUNDS = f"unauthenticated: {{connections: {IN_ALL}, connections_per_address: {OF_AN_ADDRESS}, timeout: 3s}}\n"
MANY = 100


class World(NamedTuple):
    """A kas of this file's tests, and what its agent follows."""

    kas: Kas
    repository: GitRepository


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("door")
    with GitServer(folder / "git") as git:
        repository = git.create("group/config")
        repository.push_files({**config_files("honest", "default"), "manifests/x.yaml": config_map("x")})
        kas = Kas(folder / "kas", git.template, settings=BOUNDS)
        kas.start()
        try:
            yield World(kas, repository)
        finally:
            kas.stop()


@pytest.fixture(scope="module")
def token(world: World) -> str:
    return new_token(world.kas, "honest")


def new_token(kas: Kas, name: str) -> str:
    made = kas.post("agents", {"project": "group/config", "name": name})
    return str(kas.post(f"agents/{made['id']}/tokens", {})["secret"])


def port_of(kas: Kas, transport: str) -> int:
    return {
        "ws": kas.websocket_port,
        "grpc": kas.grpc_port,
        "api": kas.api_port,
        "observability": kas.observability_port,
    }[transport]


@asynccontextmanager
async def syncing(world: World, token: str) -> AsyncIterator[None]:
    """Have an agent that is sent what is pushed meanwhile, over the connection that it had before."""
    async with agent(world.kas.address, token) as it:
        await it.link.wait_connected()
        since = it.link.state
        yield
        commit = world.repository.push_files({"manifests/x.yaml": config_map("x", secrets.token_hex(8))})
        world.kas.webhook("group/config")
        await eventually(
            lambda: commit in {message.snapshot_header.commit for message in it.received},
            what="the agent is sent what was pushed",
        )
        await it.link.report(wire.ReportRequest())
        assert it.link.state == since


async def identify(kas: Kas, token: str, transport: str = "grpc") -> grpc.StatusCode:
    """Ask once who one is; return what came of it."""
    address = parse_kas_address(f"{transport}://127.0.0.1:{port_of(kas, transport)}")
    async with open_channel(address, token, None) as channel:
        try:
            stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
            await stub.Identify(wire.IdentifyRequest(), metadata=channel.metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


SAID = {
    "grpc": PREFACE + SETTINGS,
    "ws": UPGRADE + websocket_frame(PREFACE + SETTINGS),
    # A request that never comes to its end.
    "api": b"GET /api/v1/agents HTTP/1.1\r\nHost: kas\r\n",
    "observability": b"GET /metrics HTTP/1.1\r\nHost: kas\r\n",
}


@pytest.mark.parametrize("port", ["grpc", "ws", "api", "observability"])
async def test_an_address_holds_so_many_connections_without_a_token_and_keeps_nobody_out(
    world: World, token: str, port: str
) -> None:
    kas = world.kas
    async with syncing(world, token):
        with ExitStack() as stack:
            strangers = [stack.enter_context(Stranger(port_of(kas, port))) for _ in range(MANY)]
            for stranger in strangers:
                stranger.send_raw(SAID[port])
            wait_until(
                lambda: sum(not stranger.listen() for stranger in strangers) <= OF_AN_ADDRESS,
                what="an address has no more than its share",
            )
            # From the same machine, by another address.
            assert await identify(kas, token, "ws") is await identify(kas, token, "grpc") is grpc.StatusCode.OK
            assert kas.ready()
            assert kas.get("agents")
            if port in {"ws", "grpc"}:
                for stranger in strangers:
                    stranger.wait()


async def test_a_call_that_is_never_finished_holds_no_connection(world: World, token: str) -> None:
    async with syncing(world, token):
        with ExitStack() as stack:
            for websocket, port in ((False, world.kas.grpc_port), (True, world.kas.websocket_port)):
                stranger = stack.enter_context(Stranger(port, websocket=websocket))
                assert stranger.send(PREFACE + SETTINGS + call("Connect", 1) + call("Report", 3))
                stranger.wait()


def test_several_addresses_hold_no_more_than_all_may_and_the_next_one_comes_in(world: World) -> None:
    port = world.kas.grpc_port
    with ExitStack() as stack:
        strangers = [
            stack.enter_context(Stranger(port, source=f"127.0.0.{2 + number % 4}")) for number in range(2 * IN_ALL)
        ]
        for stranger in strangers:
            stranger.send(PREFACE + SETTINGS)
        wait_until(
            lambda: sum(not stranger.listen() for stranger in strangers) <= IN_ALL, what="there are so many in all"
        )


class TestMadeUpTokens:
    """A stranger keeps hundreds of calls under way, each with a token that looks like one."""

    CONNECTIONS = 20

    @pytest.fixture
    def flooding(self, world: World) -> Iterator[list[Stranger]]:
        with ExitStack() as stack:
            connections = [stack.enter_context(Stranger(world.kas.grpc_port)) for _ in range(self.CONNECTIONS)]
            for stranger in connections:
                calls = [
                    call("Identify", stream, token=f"glagent-{secrets.token_urlsafe(40)}")
                    + frame(DATA, bytes(5), flags=END_STREAM, stream=stream)
                    for stream in range(1, 2 * limits.STREAMS_PER_CONNECTION, 2)
                ]
                stranger.send(PREFACE + SETTINGS + b"".join(calls))
            yield connections

    @pytest.mark.usefixtures("flooding")
    async def test_keep_no_new_agent_out(self, world: World) -> None:
        token = new_token(world.kas, f"new-{secrets.token_hex(4)}")
        assert await identify(world.kas, token) is grpc.StatusCode.OK

    async def test_end_their_connections(self, flooding: list[Stranger]) -> None:
        for stranger in flooding:
            stranger.wait()

    async def test_end_a_websocket(self, world: World) -> None:
        with Stranger(world.kas.websocket_port, websocket=True) as stranger:
            for stream in range(1, 2 * limits.REFUSED_CALLS + 1, 2):
                stranger.send((PREFACE + SETTINGS if stream == 1 else b"") + call("Identify", stream))
            stranger.wait()
        assert b"too many calls were refused" in stranger.heard


FLOODS: dict[str, Callable[[int], bytes]] = {
    "pings": lambda _: frame(PING, bytes(8)),
    "settings": lambda _: SETTINGS,
    "priorities": lambda _: frame(PRIORITY, bytes(4) + b"\x10", stream=1),
    "window updates": lambda _: frame(WINDOW_UPDATE, b"\0\0\0\1"),
    "frames of no known kind": lambda _: frame(0xEE, b"x"),
    "resets of nothing": lambda _: frame(RESET, CANCEL, stream=1),
    "rapid resets": lambda n: call("Report", 3 + 2 * n) + frame(RESET, CANCEL, stream=3 + 2 * n),
    "calls": lambda n: call("Identify", 3 + 2 * n) + frame(DATA, bytes(5), flags=END_STREAM, stream=3 + 2 * n),
    "headers without end": lambda _: frame(CONTINUATION, header("x", "y"), stream=1),
    "empty messages": lambda _: frame(DATA, b"", stream=1),
}
"""By what a stranger floods with: what it sends for the nth time."""

BEGINNINGS = {
    "headers without end": call("Report", 1, flags=0),
    "empty messages": call("Report", 1, flags=END_HEADERS),
}


def flood_bytes(kind: str, size: int) -> bytes:
    """Return that many bytes of a flood."""
    one = FLOODS[kind](0)
    count = size // len(one) + 1
    return one * count if one == FLOODS[kind](1) else b"".join(map(FLOODS[kind], range(count)))


def all_end(strangers: dict[str, Stranger]) -> None:
    for kind, stranger in strangers.items():
        wait_until(stranger.listen, what=f"the connection with {kind} is closed", within=30)


async def test_every_flood_in_a_websocket_ends_after_so_many_frames(world: World, token: str) -> None:
    async with syncing(world, token):
        with ExitStack() as stack:
            strangers = {
                kind: stack.enter_context(Stranger(world.kas.websocket_port, websocket=True)) for kind in FLOODS
            }
            for kind, stranger in strangers.items():
                # Of these hardly any were taken when it ended: the rest lies in the sockets' buffers.
                beginning = PREFACE + SETTINGS + BEGINNINGS.get(kind, b"")
                stranger.send(beginning + flood_bytes(kind, 15 * 20 * limits.FRAME_POINTS))
            all_end(strangers)


async def test_every_flood_at_the_direct_port_ends_after_so_many_bytes(world: World, token: str) -> None:
    async with syncing(world, token):
        with ExitStack() as stack:
            strangers = {kind: stack.enter_context(Stranger(world.kas.grpc_port)) for kind in FLOODS}
            for kind, stranger in strangers.items():
                beginning = PREFACE + SETTINGS + BEGINNINGS.get(kind, b"")
                stranger.send(beginning + flood_bytes(kind, NEWCOMER_BYTES + (2 << 20)))
            all_end(strangers)


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_an_agent_that_floods_is_sent_away_like_a_stranger(world: World, token: str, transport: str) -> None:
    flooder = new_token(world.kas, f"flooder-{secrets.token_hex(4)}")
    async with syncing(world, token):
        with ExitStack() as stack:
            known: dict[str, Stranger] = {}
            for kind in ("priorities", "rapid resets"):
                it = stack.enter_context(Stranger(port_of(world.kas, transport), websocket=transport == "ws"))
                # An empty Hello, of a replica each.
                hello = wire.AgentMessage(hello=wire.Hello(meta=wire.AgentMeta(instance_id=kind))).SerializeToString()
                it.send(PREFACE + SETTINGS + call("Connect", 1, token=flooder))
                it.send(frame(DATA, b"\0" + len(hello).to_bytes(4, "big") + hello, stream=1))
                wait_until(lambda it=it: it.listen() or b"agentlink-connection-id" in it.heard, what="it is let in")  # type: ignore[misc]
                assert not it.closed
                known[kind] = it
            for kind, it in known.items():
                it.send(flood_bytes(kind, OVERHEAD_BYTES + (2 << 20)))
            all_end(known)


WEBSOCKET_FLOODS = {
    "pings": websocket_frame(b"x", PING_MESSAGE),
    "empty messages": websocket_frame(b""),
    "empty fragments": websocket_frame(b"", CONTINUED, last=False),
    "messages of one byte": websocket_frame(b"\0"),
}


async def test_every_flood_of_websocket_frames_ends_after_so_many(world: World, token: str) -> None:
    async with syncing(world, token):
        with ExitStack() as stack:
            strangers = {}
            for kind, message in WEBSOCKET_FLOODS.items():
                stranger = stack.enter_context(Stranger(world.kas.websocket_port, websocket=True))
                stranger.send(PREFACE + SETTINGS)
                if kind == "empty fragments":
                    stranger.send_raw(websocket_frame(b"", last=False))
                stranger.send_raw(message * (20 * limits.FRAME_POINTS))
                strangers[kind] = stranger
            all_end(strangers)


async def test_who_sends_a_large_message_without_a_token_has_none_of_it_kept(world: World, token: str) -> None:
    async with syncing(world, token):
        with Stranger(world.kas.grpc_port) as stranger:
            part = frame(DATA, b"\0" + (4 << 20).to_bytes(4, "big") + bytes(16_000), stream=1)
            stranger.send(PREFACE + SETTINGS + call("Report", 1) + part)
            stranger.wait(lambda: b"no token was sent" in stranger.heard)
            assert not stranger.closed
