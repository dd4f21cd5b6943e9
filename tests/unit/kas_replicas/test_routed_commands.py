"""Commands through another replica: answers in order and no faster than they are read, and every way to lose one.

Messages are lost here as they are when Redis is restarted: silently.
"""

from __future__ import annotations

import asyncio
import random

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
from kas.replicas import commands
from kas.replicas.commands import AHEAD, OutOfReachError
from kas.replicas.port import Gap
from kas.replicas.presence import SILENT_SECONDS
from tests.support.seats import attached
from tests.support.waiting import eventually
from tests.unit.kas_replicas.replica_parts import AGENT, Replica, Seat, two


async def error_of(replica: Replica, command: wire.Command) -> CommandError | None:
    try:
        await anext(replica.routed.give(AGENT, Delivery(command), within=60))
    except CommandError as error:
        return error
    return None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "AGAIN_SECONDS", 0.02)


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


async def refuse(local: LocalCommands, seat: Seat, command: wire.Command, *, times: int = 1) -> None:
    """Answer as a pod that does not lead."""
    part = wire.AnswerRequest(command_id=command.id, reason="NotLeader", done=True)
    await eventually(lambda: len(seat.delivered) >= times, what="the command is delivered to who does not lead")
    assert await _answered(local, part)


async def test_where_the_pod_connected_here_does_not_lead_those_are_waited_for_that_may_be_elsewhere() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        one.bus.hear("presence", Gap())
        here, there, command = Seat(), Seat(), new_command(1, within=60)
        with attached(one.local, AGENT, here), attached(other.local, AGENT, there):
            given = group.create_task(anext(one.routed.give(AGENT, Delivery(command), within=60)))
            await refuse(one.local, here, command)
            await asyncio.sleep(0)
            assert not given.done()
            other.connect()
            await refuse(one.local, here, command, times=2)
            await eventually(lambda: bool(there.delivered), what="the command is delivered to who leads")
            await other.local.answer(AGENT, "leader", wire.AnswerRequest(command_id=command.id, message="m", done=True))
            assert (await given).message == "m"


async def test_where_no_pod_leads_and_all_are_known_that_is_said_at_once() -> None:
    async with two() as (one, _), asyncio.TaskGroup() as group:
        here, command = Seat(), new_command(1, within=60)
        with attached(one.local, AGENT, here):
            given = group.create_task(error_of(one, command))
            await refuse(one.local, here, command)
            assert isinstance(await given, NoLeaderError)
            assert len(here.delivered) == 1


async def test_pods_that_may_be_elsewhere_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SILENT_SECONDS", 0.1)
    async with two() as (one, other), asyncio.TaskGroup() as group:
        one.bus.hear("presence", Gap())
        for error in (NoLeaderError, OutOfReachError):
            here, command = Seat(), new_command(1, within=60)
            with attached(one.local, AGENT, here):
                given = group.create_task(error_of(one, command))
                await refuse(one.local, here, command)
                assert type(await given) is error
                assert len(here.delivered) == 1
            other.connect()
            one.bus.trouble = "away"


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_messages_are_lost_the_answer_arrives_whole_and_the_command_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        for replica in (one, other):
            replica.bus.hears = lambda: chance.random() < 0.6
        seat, command = Seat(), new_command(1, within=60)

        async def answer() -> None:
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            for number in range(30):
                part = wire.AnswerRequest(command_id=command.id, message=str(number), done=number == 29)
                await other.local.answer(AGENT, "peer", part)

        with attached(other.local, AGENT, seat):
            answering = group.create_task(answer())
            heard = [part.message async for part in one.routed.give(AGENT, Delivery(command), within=60)]
            await answering
        assert heard == [str(number) for number in range(30)]
        assert [delivery.command for delivery in seat.delivered] == [command]


async def test_a_failure_that_is_lost_is_told_again() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()  # it has no stream, in truth
        one.bus.hears = lambda: False
        given = group.create_task(error_of(one, new_command(1, within=60)))
        await asyncio.sleep(0)
        assert not given.done()
        one.bus.hears = lambda: True
        assert isinstance(await given, ConnectionLostError)


async def test_a_command_whose_answer_was_forgotten_is_not_begun_again() -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        seat, command = Seat(), new_command(1, within=60)
        with attached(other.local, AGENT, seat):
            parts = one.routed.give(AGENT, Delivery(command), within=60)
            first = group.create_task(anext(parts))
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            await other.local.answer(AGENT, "peer", wire.AnswerRequest(command_id=command.id))
            await first
            one.routed.say(other.bus.replica, "withdraw", command.id)
            with pytest.raises(ConnectionLostError):
                await anext(parts)
            assert len(seat.delivered) == 1


async def test_an_order_waits_while_redis_is_away_and_then_says_where_the_agent_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two() as (one, other), asyncio.TaskGroup() as group:
        other.connect()
        seat = Seat()
        with attached(other.local, AGENT, seat):
            one.bus.trouble = "away"
            given = group.create_task(error_of(one, new_command(1, within=60)))
            await asyncio.sleep(0)
            assert not given.done()
            one.bus.trouble = ""
            await eventually(lambda: bool(seat.delivered), what="the command is delivered")
            given.cancel()
            one.bus.trouble = "away"
            monkeypatch.setattr(commands, "SILENT_SECONDS", 0.1)
            error = await error_of(one, new_command(1, within=60))
            assert isinstance(error, OutOfReachError)
            assert "connected to r, which cannot be reached" in str(error)
