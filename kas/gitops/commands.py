"""Brings what people order to the agents that are connected, and what these answer to who waits for it.

Three sides meet here and know nothing of each other: who gives a command, the streams of agents (``Seat``), and the
calls in which agents answer. ``Commands`` is what givers see; another implementation may carry a command to the process
that holds the agent's stream. Nothing is kept: a command that is not answered in its time has failed, and is given
again by whoever still wants it.

An agent may have several streams, one for each of its replicas. All of them get the command; replicas that do not lead
say so or nothing, and the first that really answers is the one that is heard to the end.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from agentlink import logs
from agentlink.limits import MEBIBYTE
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.service import AnswerRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from kas.gitops.snapshots import Wanted

NOT_LEADER: Final = "NotLeader"
"""The reason with which a replica says that another one has to carry the command out."""

COMMANDS_AT_ONCE: Final = 8
"""Commands of one agent under way; a diff of a large project keeps the cluster's API server busy."""

ANSWER_BYTES: Final = 64 * MEBIBYTE
"""The most that one answer may have: ten thousand objects with many fields. An agent is not trusted to end."""

ANSWER_PARTS: Final = 20_000
"""The most parts that one answer may come in."""

_HELD_PARTS: Final = 4
"""Parts that wait for a slow reader; the agent's next one waits in its call."""

log = logs.get_logger("gitops")


class CommandError(Exception):
    """A command did not come to its end. ``reason`` is for programs, ``hint`` says what to do next."""

    reason = "CommandFailed"
    hint = ""


class AgentNotConnectedError(CommandError):
    """No replica of the agent is connected."""

    reason = "AgentNotConnected"
    hint = "`kas get agents` shows since when; agentk's log says why"


class NotAnsweredError(CommandError):
    """The time is over."""

    reason = "NotAnswered"
    hint = "try again; an agentk that is older than this kas may not know the command (`kas get agents`, VERSION)"


class NoLeaderError(CommandError):
    """Replicas are connected, and none of them leads."""

    reason = "NoLeader"
    hint = "another replica takes over within seconds: try again"


class ConnectionLostError(CommandError):
    """Every replica that had the command is gone. Whether it was carried out is not known."""

    reason = "ConnectionLost"
    hint = "look at `kas get syncs`, then try again"


class AnswerTooLargeError(CommandError):
    """The answer has no end."""

    reason = "AnswerTooLarge"
    hint = "ask for one project, or for a revision that is nearer to what is there"


class TooManyCommandsError(CommandError):
    """The agent is busy with other commands."""

    reason = "TooManyCommands"
    hint = "wait until those that others gave have ended"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that goes with a command: who delivers it makes the snapshot, against what its agent holds."""

    wanted: Wanted
    commit: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A command on its way to an agent."""

    command: wire.Command
    revision: Revision | None = None


class Seat(Protocol):
    """One stream of an agent. Must not block."""

    def deliver(self, delivery: Delivery) -> None:
        """Send a command soon."""

    def withdraw(self, command_id: str) -> None:
        """Send no more of a command: nobody waits for its answer."""


class Commands(Protocol):
    """What givers of commands see."""

    def give(self, agent_id: int, delivery: Delivery, *, within: float) -> AsyncGenerator[wire.AnswerRequest, None]:
        """Yield the parts of the answer; the last one is ``done``. To be closed by who does not read to the end.

        Args:
            agent_id: the agent.
            delivery: its command has an id of its own.
            within: seconds until the last part has to be there.

        Raises:
            CommandError: it cannot be given, or is not answered.
        """


def new_command(project_id: int, *, within: float) -> wire.Command:
    """Return a command that is still to be said, with an id that nobody can guess."""
    command = wire.Command(id=uuid.uuid4().hex, project_id=project_id)
    command.timeout.FromMilliseconds(round(within * 1000))
    return command


class LocalCommands:
    """Commands to the agents that are connected to this process."""

    def __init__(self) -> None:
        self._seats: dict[int, list[Seat]] = {}
        self._pending: dict[str, _Pending] = {}

    def attach(self, agent_id: int, seat: Seat) -> None:
        """Take commands for an agent, until ``detach``; those under way are not for this stream."""
        self._seats.setdefault(agent_id, []).append(seat)

    def detach(self, agent_id: int, seat: Seat) -> None:
        """Take no more of them: the stream has ended."""
        seats = self._seats[agent_id]
        seats.remove(seat)
        if not seats:
            del self._seats[agent_id]
        for pending in list(self._pending.values()):
            pending.seat_gone(seat)

    def connected(self, agent_id: int) -> bool:
        """Tell whether a replica of the agent is connected."""
        return agent_id in self._seats

    async def give(
        self, agent_id: int, delivery: Delivery, *, within: float, beyond: Sequence[Seat] = ()
    ) -> AsyncGenerator[wire.AnswerRequest, None]:
        """See ``Commands``; ``beyond`` are seats that stand for the agent's streams at other replicas of kas."""
        seats = [*self._seats.get(agent_id, ()), *beyond]
        if not seats:
            raise AgentNotConnectedError("the agent is not connected to kas now")
        if sum(pending.agent_id == agent_id for pending in self._pending.values()) >= COMMANDS_AT_ONCE:
            raise TooManyCommandsError(f"{COMMANDS_AT_ONCE} commands of this agent are under way")
        command_id = delivery.command.id
        deadline = asyncio.get_running_loop().time() + within
        pending = self._pending[command_id] = _Pending(agent_id, seats)
        try:
            for seat in seats:
                seat.deliver(delivery)
            while True:
                part = await pending.take(deadline, within)
                yield part
                if part.done:
                    return
        finally:
            del self._pending[command_id]
            pending.close()
            for seat in seats:
                seat.withdraw(command_id)

    async def answer(self, agent_id: int, answerer: str, request: wire.AnswerRequest) -> None:
        """Take a part of an answer; returns when there is room for the next one.

        Args:
            agent_id: who answers, as its token says.
            answerer: which replica, such as the address of its connection.
            request: the part.

        Raises:
            AnswerRefusedError: nobody waits for it, or not any more; or it is too much.
        """
        pending = self._pending.get(request.command_id)
        # The same words for another agent's command as for none: an agent learns nothing of others.
        if pending is None or pending.agent_id != agent_id:
            raise AnswerRefusedError("nobody waits for the answer to this command")
        await pending.put(answerer, request)

    def lost(self, command_id: str, seat: Seat, error: CommandError | None = None) -> None:
        """Note that no more comes from a seat of a command, which has failed if there is an ``error``."""
        pending = self._pending.get(command_id)
        if pending is not None and error is not None:
            pending.fail(error)
        elif pending is not None:
            pending.seat_gone(seat)


class _Pending:
    """A command under way: what was answered and not read yet."""

    def __init__(self, agent_id: int, seats: list[Seat]) -> None:
        self.agent_id = agent_id
        self._seats = list(seats)
        self._parts: deque[wire.AnswerRequest] = deque()
        self._bytes = 0
        self._count = 0
        self._answerer = ""
        self._not_leading: set[str] = set()
        self._failure: CommandError | None = None
        self._open = True
        self._changed = asyncio.Event()

    async def put(self, answerer: str, part: wire.AnswerRequest) -> None:
        if not self._answerer and part.done and part.reason == NOT_LEADER:
            self._not_leading.add(answerer)
            self._look_for_leader()
            return
        if self._answerer not in {"", answerer}:
            raise AnswerRefusedError("another replica answers this command")
        self._answerer = answerer
        self._bytes += part.ByteSize()
        self._count += 1
        if self._bytes > ANSWER_BYTES or self._count > ANSWER_PARTS:
            self.fail(AnswerTooLargeError(f"the agent's answer is larger than {ANSWER_BYTES // MEBIBYTE} MiB"))
            raise AnswerRefusedError("the answer is too large", too_much=True)
        while self._open and len(self._parts) >= _HELD_PARTS:
            await self._wait()
        if not self._open:
            raise AnswerRefusedError("nobody waits for the answer to this command")
        self._parts.append(part)
        self._change()

    async def take(self, deadline: float, within: float) -> wire.AnswerRequest:
        try:
            async with asyncio.timeout_at(deadline):
                while not self._parts:
                    if self._failure is not None:
                        raise self._failure
                    await self._wait()
        except TimeoutError:
            raise NotAnsweredError(f"the agent did not answer within {within:.0f} s") from None
        part = self._parts.popleft()
        self._change()
        return part

    def seat_gone(self, seat: Seat) -> None:
        if seat not in self._seats:
            return
        self._seats.remove(seat)
        if not self._seats:
            self.fail(ConnectionLostError("the connection to the agent was lost before it had answered"))
        else:
            self._look_for_leader()

    def close(self) -> None:
        self._open = False
        self._change()

    def _look_for_leader(self) -> None:
        if not self._answerer and len(self._not_leading) >= len(self._seats):
            self.fail(NoLeaderError("no replica of the agent leads now"))

    def fail(self, failure: CommandError) -> None:
        self._failure = self._failure or failure
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self) -> None:
        await self._changed.wait()
