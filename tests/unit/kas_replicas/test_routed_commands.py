"""Commands through another replica: answers in order and no faster than they are read, and every way to lose one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.commands import (
    AgentNotConnectedError,
    CommandError,
    ConnectionLostError,
    Delivery,
    LocalCommands,
    NoLeaderError,
    new_command,
)
from kas.replicas.commands import AHEAD, RoutedCommands
from kas.replicas.local import Hub, LocalBus
from kas.replicas.port import Gap
from kas.replicas.presence import SILENT_SECONDS, Presence
from kas.rpc.sessions import AgentIdentity, Session
from tests.support.seats import attached
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGENT = 7


@dataclass
class Replica:
    """One replica without a listener; ``sessions`` are those that it says it has."""

    hub: Hub
    now: list[float]
    sessions: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = LocalBus(self.hub)
        self.local = LocalCommands()
        self.presence = Presence(self.bus, "r", lambda: tuple(self.sessions), clock=lambda: self.now[0])
        self.routed = RoutedCommands(self.local, self.bus, self.presence)

    def connect(self, connection_id: str = "c") -> None:
        session = Session(
            connection_id, AgentIdentity(AGENT, "a", "g/p", 1), wire.AgentMeta(), datetime.now(UTC), "grpc", "peer"
        )
        self.sessions.append(session)
        self.presence.added(session)


@dataclass
class Seat:
    """A stream that notes what it is sent."""

    delivered: list[Delivery] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def withdraw(self, command_id: str) -> None:
        self.withdrawn.append(command_id)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Replica, Replica]]:
    hub, now = Hub(), [0.0]
    replicas = Replica(hub, now), Replica(hub, now)
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for replica in replicas:
            stack.enter_context(replica.presence.listening())
            stack.callback(group.create_task(replica.routed.run()).cancel)
        await asyncio.sleep(0)
        for replica in replicas:
            replica.presence.turn()
        yield replicas


async def error_of(replica: Replica, command: wire.Command) -> CommandError | None:
    try:
        await anext(replica.routed.give(AGENT, Delivery(command), within=60))
    except CommandError as error:
        return error
    return None


async def test_an_answer_comes_back_in_order_and_no_faster_than_it_is_read() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        seat, command = Seat(), new_command(1, within=5)
        answered = 0

        async def answer() -> None:
            nonlocal answered
            for number in range(100):
                part = wire.AnswerRequest(command_id=command.id, message=str(number), done=number == 99)
                await other.local.answer(AGENT, "peer", part)
                answered += 1

        with attached(other.local, AGENT, seat):
            parts = one.routed.give(AGENT, Delivery(command), within=5)
            first = group.create_task(anext(parts))
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            answering = group.create_task(answer())
            heard = [(await first).message]
            before = -1
            while before != answered:  # until nothing moves any more
                before = answered
                await asyncio.sleep(0.05)
            assert answered <= 5 * AHEAD, "the agent waits for who reads"
            heard += [part.message async for part in parts]
            await answering
        assert heard == [str(number) for number in range(100)]


async def test_a_replica_that_does_not_lead_leaves_the_answer_to_the_others() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        command = new_command(1, within=5)
        with attached(other.local, AGENT, Seat()):
            given = group.create_task(error_of(one, command))
            part = wire.AnswerRequest(command_id=command.id, reason="NotLeader", done=True)
            await eventually(lambda: _answered(other.local, part), what="it is asked")
            assert isinstance(await given, NoLeaderError)


async def _answered(local: LocalCommands, part: wire.AnswerRequest) -> bool:
    try:
        await local.answer(AGENT, "peer", part)
    except Exception:  # noqa: BLE001 - nobody waits for it yet
        return False
    return True


async def test_a_command_ends_at_once_when_the_replica_with_the_stream_is_no_more() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        seat, command = Seat(), new_command(1, within=60)
        with attached(other.local, AGENT, seat):
            given = group.create_task(error_of(one, command))
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            one.now[0] += SILENT_SECONDS + 1
            one.presence.turn()
            assert isinstance(await given, ConnectionLostError)


async def test_who_gives_up_has_the_command_withdrawn_where_the_stream_is() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        seat, command = Seat(), new_command(1, within=60)
        with attached(other.local, AGENT, seat):
            parts = one.routed.give(AGENT, Delivery(command), within=60)
            given = group.create_task(anext(parts))
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            given.cancel()
            await eventually(lambda: seat.withdrawn == [command.id], what="it is withdrawn")


async def test_an_agent_that_is_nowhere_is_said_to_be_so() -> None:
    async with two() as (one, _):
        with pytest.raises(AgentNotConnectedError):
            await anext(one.routed.give(AGENT, Delivery(new_command(1, within=5)), within=5))


async def test_an_agent_is_waited_for_while_the_others_may_not_have_said_that_they_have_it() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        one.bus.hear("presence", Gap())
        seat = Seat()
        with attached(other.local, AGENT, seat):
            given = group.create_task(error_of(one, new_command(1, within=60)))
            await asyncio.sleep(0)
            assert not given.done()
            other.connect()
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            given.cancel()


async def test_a_replica_that_comes_later_learns_who_is_connected() -> None:
    async with two() as (one, _):
        one.connect("c1")
        late = Replica(one.hub, one.now)
        with late.presence.listening():
            one.presence.turn()
            assert [session.connection_id for session in late.presence.of_agent(AGENT)] == ["c1"]
            one.presence.removed(one.sessions.pop())
            assert not late.presence.sessions()
