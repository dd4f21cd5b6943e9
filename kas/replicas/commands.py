"""Brings commands to agents that are connected to other replicas, and their answers back.

To who gives a command, another replica is one more seat of the agent. To the replica that has the stream, the one that
asked is somebody who gives a command here. Parts of an answer are numbered and sent four ahead at most, so that a slow
reader slows the agent down as it does within one kas; a part that is lost ends the command at once.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from agentlink.logs import get_logger
from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.commands import (
    NOT_LEADER,
    AgentNotConnectedError,
    AnswerTooLargeError,
    CommandError,
    ConnectionLostError,
    Delivery,
    NoLeaderError,
    NotAnsweredError,
    Revision,
    TooManyCommandsError,
)
from kas.gitops.snapshots import Wanted
from kas.replicas.port import Gap
from kas.replicas.presence import SILENT_SECONDS
from kas.rpc.service import AnswerRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kas.gitops.commands import LocalCommands
    from kas.replicas.port import Bus, Heard
    from kas.replicas.presence import Presence

AHEAD: Final = 4
"""Parts of an answer that may be under way."""

_LOOK_SECONDS: Final = 0.05
"""How often it is looked whether an agent has turned up."""

_TOPIC: Final = "commands"
_HEAD: Final = struct.Struct("!I")
_FAILURES: Final = {error.reason: error for error in (TooManyCommandsError, AnswerTooLargeError, NotAnsweredError)}

log = get_logger("replicas")


class RoutedCommands:
    """``Commands`` to agents wherever they are connected. ``run`` it as a part of the program."""

    def __init__(self, local: LocalCommands, bus: Bus, presence: Presence) -> None:
        self._local = local
        self._bus = bus
        self._presence = presence
        self._given: dict[tuple[str, str], _Far] = {}
        self._taken: dict[tuple[str, str], _Taken] = {}
        self._tasks: asyncio.TaskGroup | None = None
        presence.lost.append(self._lost)

    async def run(self) -> NoReturn:
        """Carry commands, for ever."""
        with self._bus.listen(_TOPIC, self._heard):
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def give(
        self, agent_id: int, delivery: Delivery, *, within: float
    ) -> AsyncGenerator[wire.AnswerRequest, None]:
        """See ``Commands``."""
        command_id = delivery.command.id
        replicas = await self._holders(agent_id) if self._tasks is not None else ()
        seats = [_Far(self, replica, agent_id, command_id, within) for replica in replicas]
        self._given.update({(seat.replica, command_id): seat for seat in seats})
        try:
            async with aclosing(self._local.give(agent_id, delivery, within=within, beyond=seats)) as parts:
                async for part in parts:
                    yield part
        finally:
            for seat in seats:
                del self._given[seat.replica, command_id]
                seat.end()

    async def _holders(self, agent_id: int) -> frozenset[str]:
        """Return who has the agent; where nobody seems to, wait for a moment if that is not certain."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SILENT_SECONDS
        while True:
            holders = self._presence.holders(agent_id)
            if holders or self._local.connected(agent_id) or not self._presence.is_unsure or loop.time() > deadline:
                return holders
            await asyncio.sleep(_LOOK_SECONDS)

    def start(self, seat: _Far) -> asyncio.Task[None] | None:
        """Pass on what a seat hears, as long as the command is under way."""
        return None if self._tasks is None else self._tasks.create_task(self._pass_on(seat))

    async def _pass_on(self, seat: _Far) -> None:
        while True:
            part = await seat.parts.get()
            try:
                await self._local.answer(seat.agent_id, seat.replica, part)
            except AnswerRefusedError:
                self.say(seat.replica, "withdraw", seat.command_id)
                return
            self.say(seat.replica, "more", seat.command_id)

    def say(self, to: str, kind: str, command_id: str, body: bytes = b"", **more: object) -> None:
        """Say something of a command to another replica."""
        head = orjson.dumps({"kind": kind, "id": command_id, **more})
        self._bus.publish(_TOPIC, _HEAD.pack(len(head)) + head + body, to=to)

    def lost(self, seat: _Far, error: CommandError | None = None) -> None:
        """Note that nothing more comes from a replica."""
        self._local.lost(seat.command_id, seat, error)

    def _lost(self, replica: str) -> None:
        for seat in [seat for seat in self._given.values() if seat.replica == replica]:
            self.lost(seat)
        for key, taken in list(self._taken.items()):
            if key[0] == replica:
                taken.cancel()

    def _heard(self, heard: Heard) -> None:
        if isinstance(heard, Gap):
            return  # what is missing shows in the numbers, or in a time that is over
        (length,) = _HEAD.unpack_from(heard.body)
        said = orjson.loads(heard.body[_HEAD.size : _HEAD.size + length])
        body = heard.body[_HEAD.size + length :]
        key = (heard.sender, said["id"])
        match said["kind"]:
            case "give":
                self._take(key, said, body)
            case "part" if key in self._given:
                self._given[key].hear(said["number"], wire.AnswerRequest.FromString(body))
            case "failed" if key in self._given:
                self._given[key].failed(said["reason"], said["message"])
            case "more" if key in self._taken:
                self._taken[key].room.release()
            case "withdraw" if key in self._taken:
                self._taken[key].cancel()
            case _:
                pass

    def _take(self, key: tuple[str, str], said: dict[str, object], body: bytes) -> None:
        if self._tasks is None or key in self._taken:
            return
        revision = said["revision"]
        wanted = None
        if isinstance(revision, list):
            project, globs, namespace, commit = revision
            wanted = Revision(Wanted(project, tuple(globs), namespace), commit)
        taken = self._taken[key] = _Taken()
        delivery = Delivery(wire.Command.FromString(body), wanted)
        agent_id, within = int(str(said["agent"])), float(str(said["within"]))
        taken.task = self._tasks.create_task(self._carry_out(key, agent_id, delivery, within, taken))

    async def _carry_out(
        self, key: tuple[str, str], agent_id: int, delivery: Delivery, within: float, taken: _Taken
    ) -> None:
        replica, command_id = key
        number = 0
        try:
            async with aclosing(self._local.give(agent_id, delivery, within=within)) as parts:
                async for part in parts:
                    await taken.room.acquire()
                    self.say(replica, "part", command_id, part.SerializeToString(), number=number)
                    number += 1
        except CommandError as error:
            self.say(replica, "failed", command_id, reason=error.reason, message=str(error))
        finally:
            del self._taken[key]


class _Taken:
    """A command that another replica gave, for an agent that is connected here."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(AHEAD)
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class _Far:
    """A ``Seat`` at another replica, for one command."""

    def __init__(self, routed: RoutedCommands, replica: str, agent_id: int, command_id: str, within: float) -> None:
        self.replica = replica
        self.agent_id = agent_id
        self.command_id = command_id
        self.parts: asyncio.Queue[wire.AnswerRequest] = asyncio.Queue(AHEAD + 1)
        self._within = within
        self._routed = routed
        self._next = 0
        self._passing = routed.start(self)

    def deliver(self, delivery: Delivery) -> None:
        revision = None
        if delivery.revision is not None:
            wanted = delivery.revision.wanted
            revision = [wanted.project, wanted.globs, wanted.default_namespace, delivery.revision.commit]
        self._routed.say(
            self.replica,
            "give",
            self.command_id,
            delivery.command.SerializeToString(),
            agent=self.agent_id,
            within=self._within,
            revision=revision,
        )

    def withdraw(self, command_id: str) -> None:
        self._routed.say(self.replica, "withdraw", command_id)

    def hear(self, number: int, part: wire.AnswerRequest) -> None:
        """Take a part; who sends more than they may, or leaves one out, is not heard any more."""
        if number != self._next or self.parts.full():
            message = "a part of the answer was lost on its way between replicas of kas"
            self._routed.lost(self, ConnectionLostError(message))
            return
        self._next += 1
        self.parts.put_nowait(part)

    def failed(self, reason: str, message: str) -> None:
        if reason == NoLeaderError.reason:
            self.hear(self._next, wire.AnswerRequest(command_id=self.command_id, reason=NOT_LEADER, done=True))
        elif reason in {AgentNotConnectedError.reason, ConnectionLostError.reason}:
            self._routed.lost(self)
        else:
            self._routed.lost(self, _FAILURES.get(reason, CommandError)(message))

    def end(self) -> None:
        if self._passing is not None:
            self._passing.cancel()
