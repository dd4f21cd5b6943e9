"""A command reaches every replica of its agent, and one answer comes back, whatever an agent does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops import commands
from kas.gitops.commands import (
    AgentNotConnectedError,
    AnswerTooLargeError,
    CommandError,
    ConnectionLostError,
    Delivery,
    LocalCommands,
    NoLeaderError,
    NotAnsweredError,
    TooManyCommandsError,
    new_command,
)
from kas.rpc.service import AnswerRefusedError
from tests.support.seats import attached

AGENT, OTHER = 5, 6


class Stream:
    """One stream of an agent: what it was handed, and what was taken back."""

    def __init__(self) -> None:
        self.delivered: asyncio.Queue[str] = asyncio.Queue()
        self.withdrawn: list[str] = []

    def deliver(self, delivery: Delivery) -> None:
        self.delivered.put_nowait(delivery.command.id)

    def withdraw(self, command_id: str) -> None:
        self.withdrawn.append(command_id)


def part(command_id: str, *, done: bool = False, reason: str = "", message: str = "") -> wire.AnswerRequest:
    return wire.AnswerRequest(command_id=command_id, done=done, reason=reason, message=message)


async def given(desk: LocalCommands, *, within: float = 30.0, agent_id: int = AGENT) -> list[str]:
    command = new_command(1, within=within)
    async with aclosing(desk.give(agent_id, Delivery(command), within=within)) as parts:
        return [answer.message async for answer in parts]


async def test_the_parts_of_an_answer_come_in_order_and_then_nobody_waits_any_more() -> None:
    desk, stream = LocalCommands(), Stream()
    with attached(desk, AGENT, stream):
        async with asyncio.TaskGroup() as tasks:
            giving = tasks.create_task(given(desk))
            command_id = await stream.delivered.get()
            for message in ("one", "two"):
                await desk.answer(AGENT, "a", part(command_id, message=message))
            await desk.answer(AGENT, "a", part(command_id, message="three", done=True))
    assert giving.result() == ["one", "two", "three"]
    assert stream.withdrawn == [command_id]
    with pytest.raises(AnswerRefusedError, match="nobody waits"):
        await desk.answer(AGENT, "a", part(command_id, done=True))


async def test_an_agent_answers_only_what_it_was_given() -> None:
    desk, stream = LocalCommands(), Stream()
    with attached(desk, AGENT, stream):
        async with asyncio.TaskGroup() as tasks:
            giving = tasks.create_task(given(desk))
            command_id = await stream.delivered.get()
            with pytest.raises(AnswerRefusedError, match="nobody waits"):
                await desk.answer(OTHER, "a", part(command_id, message="forged", done=True))
            await desk.answer(AGENT, "a", part(command_id, message="true", done=True))
    assert giving.result() == ["true"]


async def test_without_a_stream_the_command_fails_at_once() -> None:
    with pytest.raises(AgentNotConnectedError):
        await given(LocalCommands())


async def test_an_agent_that_says_nothing_is_given_up_in_time() -> None:
    desk, stream = LocalCommands(), Stream()
    with attached(desk, AGENT, stream), pytest.raises(NotAnsweredError):
        await given(desk, within=0.01)
    assert len(stream.withdrawn) == 1


async def test_of_two_replicas_the_leader_is_heard_whoever_is_faster() -> None:
    desk, standby, leader = LocalCommands(), Stream(), Stream()
    with attached(desk, AGENT, standby), attached(desk, AGENT, leader):
        async with asyncio.TaskGroup() as tasks:
            giving = tasks.create_task(given(desk))
            command_id = await leader.delivered.get()
            assert await standby.delivered.get() == command_id
            await desk.answer(AGENT, "standby", part(command_id, done=True, reason="NotLeader"))
            await desk.answer(AGENT, "standby", part(command_id, done=True, reason="NotLeader"))
            await desk.answer(AGENT, "leader", part(command_id, message="one"))
            with pytest.raises(AnswerRefusedError, match="another replica"):
                await desk.answer(AGENT, "standby", part(command_id, message="mixed in"))
            await desk.answer(AGENT, "leader", part(command_id, message="two", done=True))
    assert giving.result() == ["one", "two"]


async def test_replicas_of_which_none_leads_are_an_error_of_their_own() -> None:
    desk, first, second = LocalCommands(), Stream(), Stream()
    caught: list[CommandError] = []

    async def give() -> None:
        try:
            await given(desk)
        except CommandError as error:
            caught.append(error)

    with attached(desk, AGENT, first), attached(desk, AGENT, second):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(give())
            command_id = await first.delivered.get()
            await desk.answer(AGENT, "first", part(command_id, done=True, reason="NotLeader"))
            await desk.answer(AGENT, "second", part(command_id, done=True, reason="NotLeader"))
    assert [type(error) for error in caught] == [NoLeaderError]


async def test_when_the_last_replica_that_had_it_is_gone_nobody_waits_for_the_time_to_pass() -> None:
    desk, stream, later = LocalCommands(), Stream(), Stream()
    caught: list[CommandError] = []

    async def give() -> None:
        try:
            await given(desk)
        except CommandError as error:
            caught.append(error)

    with attached(desk, AGENT, later):
        pass
    async with asyncio.TaskGroup() as tasks:
        with attached(desk, AGENT, stream):
            tasks.create_task(give())
            await stream.delivered.get()
        # A new connection has never heard of the command.
        with attached(desk, AGENT, later):
            pass
    assert [type(error) for error in caught] == [ConnectionLostError]


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ANSWER_BYTES", 200)
    desk, stream = LocalCommands(), Stream()
    caught: list[CommandError] = []

    async def give() -> None:
        try:
            await given(desk)
        except CommandError as error:
            caught.append(error)

    with attached(desk, AGENT, stream):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(give())
            command_id = await stream.delivered.get()
            await desk.answer(AGENT, "a", part(command_id, message="x" * 100))
            with pytest.raises(AnswerRefusedError) as refused:
                await desk.answer(AGENT, "a", part(command_id, message="x" * 100))
    assert refused.value.too_much
    assert [type(error) for error in caught] == [AnswerTooLargeError]


async def test_an_agent_that_answers_faster_than_anybody_reads_waits_and_is_let_go_when_the_reader_leaves() -> None:
    desk, stream = LocalCommands(), Stream()
    answered = 0

    async def answer(command_id: str) -> None:
        nonlocal answered
        while True:
            await desk.answer(AGENT, "a", part(command_id, message="more"))
            answered += 1

    async def answer_until_refused(command_id: str) -> None:
        with pytest.raises(AnswerRefusedError, match="nobody waits"):
            await answer(command_id)

    with attached(desk, AGENT, stream):
        async with asyncio.TaskGroup() as tasks:
            parts = desk.give(AGENT, Delivery(new_command(1, within=30)), within=30)
            reading = tasks.create_task(anext(parts))
            tasks.create_task(answer_until_refused(await stream.delivered.get()))
            assert (await reading).message == "more"
            for _ in range(100):
                await asyncio.sleep(0)
            assert answered <= 6
            await parts.aclose()


async def test_an_agent_has_only_so_many_commands_at_once_and_others_are_not_in_the_way() -> None:
    desk, stream, other = LocalCommands(), Stream(), Stream()
    with attached(desk, AGENT, stream), attached(desk, OTHER, other):
        async with asyncio.TaskGroup() as tasks:
            giving = [tasks.create_task(given(desk)) for _ in range(commands.COMMANDS_AT_ONCE)]
            ids = [await stream.delivered.get() for _ in giving]
            with pytest.raises(TooManyCommandsError):
                await given(desk)
            elsewhere = tasks.create_task(given(desk, agent_id=OTHER))
            ids_of_other = await other.delivered.get()
            await desk.answer(OTHER, "o", part(ids_of_other, done=True))
            await elsewhere
            for command_id in ids:
                await desk.answer(AGENT, "a", part(command_id, done=True))
