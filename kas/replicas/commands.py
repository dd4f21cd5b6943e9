"""Brings commands to agents that are connected to other replicas, and their answers back.

To who gives a command, another replica is one more seat of the agent. To the replica that has the stream, the one that
asked is somebody who gives a command here. Parts of an answer are numbered and sent four ahead at most, so that a slow
reader slows the agent down as it does within one kas.

Messages between replicas may be lost, as when Redis is restarted. Who asked and hears nothing asks again, once a
second, and says which part is next: so what did not arrive is sent once more, and nothing is carried out twice.
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
    from collections.abc import AsyncGenerator, Collection

    from kas.gitops.commands import LocalCommands
    from kas.replicas.port import Bus, Heard
    from kas.replicas.presence import Presence

AHEAD: Final = 4
"""Parts of an answer that may be under way."""

AGAIN_SECONDS: Final = 1.0
"""After so long without a word it is asked again."""

_LOOK_SECONDS: Final = 0.05
"""How often it is looked whether an agent has turned up."""

_TOPIC: Final = "commands"
_HEAD: Final = struct.Struct("!I")
_FAILURES: Final = {error.reason: error for error in (TooManyCommandsError, AnswerTooLargeError, NotAnsweredError)}

log = get_logger("replicas")


class OutOfReachError(CommandError):
    """The agent is connected to a replica of kas that cannot be reached now."""

    reason = "OutOfReach"
    hint = "`/readiness` of kas says what is wrong with Redis; the agent itself is served meanwhile"


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
        """See ``Commands``.

        Raises:
            OutOfReachError: it is connected elsewhere, and Redis is away.
        """
        deadline = asyncio.get_running_loop().time() + SILENT_SECONDS
        replicas = await self._holders(agent_id, deadline)
        while True:
            try:
                async with aclosing(self._give_to(replicas, agent_id, delivery, within)) as parts:
                    async for part in parts:
                        yield part
            except NoLeaderError:
                # Nobody has begun it. The one that leads may be connected where nobody has told of it yet.
                replicas = await self._holders(agent_id, deadline, asked=replicas)
                if not replicas:
                    raise
            else:
                return

    async def _give_to(
        self, replicas: Collection[str], agent_id: int, delivery: Delivery, within: float
    ) -> AsyncGenerator[wire.AnswerRequest, None]:
        """Give it to the agent's streams here and at these replicas."""
        command_id = delivery.command.id
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

    async def _holders(
        self, agent_id: int, deadline: float, *, asked: Collection[str] | None = None
    ) -> Collection[str]:
        """Return who else has the agent; where nobody in reach seems to, wait for a moment if that is not certain.

        Where some have been ``asked`` in vain, here and elsewhere, it is only others that count.
        """
        if self._tasks is None:
            return ()
        while True:
            holders, trouble = self._presence.holders(agent_id), self._bus.trouble
            beyond = holders.keys() - (asked or ())
            if beyond and not trouble:
                return holders
            if (asked is None and self._local.connected(agent_id)) or not self._presence.is_unsure:
                return ()
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if beyond:
            names = ", ".join(holders[replica] for replica in beyond)
            raise OutOfReachError(f"the agent is connected to {names}, which cannot be reached: Redis is away")
        return ()

    def start(self, seat: _Far) -> asyncio.Task[None] | None:
        """Pass on what a seat hears, as long as the command is under way."""
        return None if self._tasks is None else self._tasks.create_task(self._pass_on(seat))

    async def _pass_on(self, seat: _Far) -> None:
        while True:
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    part = await seat.parts.get()
            except TimeoutError:
                seat.ask()
                continue
            try:
                await self._local.answer(seat.agent_id, seat.replica, part)
            except AnswerRefusedError:
                seat.withdraw(seat.command_id)
                return
            seat.passed_on()

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
            return  # who asked will ask again
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
                self._given[key].failed(said["number"], said["reason"], said["message"])
            case "more" if key in self._taken:
                self._taken[key].arrived(said["next"])
            case "withdraw" if key in self._taken:
                self._taken[key].cancel()
            case _:
                pass

    def _take(self, key: tuple[str, str], said: dict[str, object], body: bytes) -> None:
        if self._tasks is None:
            return
        asked = int(str(said["next"]))
        if key in self._taken:
            self._taken[key].arrived(asked)
            self._taken[key].repeat()
            return
        if asked:  # begun by one that has forgotten it; begun again it might be carried out twice
            message = "another replica of kas has lost the answer"
            self.say(key[0], "failed", key[1], number=asked, reason=ConnectionLostError.reason, message=message)
            return
        taken = self._taken[key] = _Taken(self, *key)
        agent_id, within = int(str(said["agent"])), float(str(said["within"]))
        revision = said["revision"]
        wanted = None
        if isinstance(revision, list):
            project, globs, namespace, commit = revision
            wanted = Revision(Wanted(project, tuple(globs), namespace), commit)
        delivery = Delivery(wire.Command.FromString(body), wanted)
        taken.task = self._tasks.create_task(self._carry_out(taken, agent_id, delivery, within))
        taken.task.add_done_callback(lambda _: self._taken.pop(key))  # also where it is cancelled before it begins

    async def _carry_out(self, taken: _Taken, agent_id: int, delivery: Delivery, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                try:
                    async with aclosing(self._local.give(agent_id, delivery, within=within)) as parts:
                        async for part in parts:
                            await taken.send("part", part.SerializeToString())
                except CommandError as error:
                    await taken.send("failed", reason=error.reason, message=str(error))
                await asyncio.Event().wait()  # it is withdrawn when everything has arrived
        except TimeoutError:
            pass  # nobody waits any more


class _Taken:
    """A command that another replica gave, for an agent that is connected here: what is sent and has not arrived."""

    def __init__(self, routed: RoutedCommands, replica: str, command_id: str) -> None:
        self.replica = replica
        self.command_id = command_id
        self.task: asyncio.Task[None] | None = None
        self._routed = routed
        self._room = asyncio.Semaphore(AHEAD)
        self._next = 0
        self._under_way: dict[int, tuple[str, bytes, dict[str, object]]] = {}

    async def send(self, kind: str, body: bytes = b"", **more: object) -> None:
        """Send the next part, or the failure in its place, when there is room for it."""
        await self._room.acquire()
        self._under_way[self._next] = kind, body, more
        self._say(self._next)
        self._next += 1

    def arrived(self, asked: int) -> None:
        """Note that everything before the part that is asked for has arrived."""
        for number in [number for number in self._under_way if number < asked]:
            del self._under_way[number]
            self._room.release()

    def repeat(self) -> None:
        """Send once more what has not arrived."""
        for number in self._under_way:
            self._say(number)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _say(self, number: int) -> None:
        kind, body, more = self._under_way[number]
        self._routed.say(self.replica, kind, self.command_id, body, number=number, **more)


class _Far:
    """A ``Seat`` at another replica, for one command."""

    def __init__(self, routed: RoutedCommands, replica: str, agent_id: int, command_id: str, within: float) -> None:
        self.replica = replica
        self.agent_id = agent_id
        self.command_id = command_id
        self.parts: asyncio.Queue[wire.AnswerRequest] = asyncio.Queue(AHEAD + 1)
        self._within = within
        self._routed = routed
        self._delivery: Delivery | None = None
        self._next = 0
        self._passed_on = 0
        self._passing = routed.start(self)

    def deliver(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.ask()

    def ask(self) -> None:
        """Give the command, or ask for what is still missing of its answer: the other side knows which it is."""
        if self._delivery is None:
            return
        revision = None
        if self._delivery.revision is not None:
            wanted = self._delivery.revision.wanted
            revision = [wanted.project, wanted.globs, wanted.default_namespace, self._delivery.revision.commit]
        self._routed.say(
            self.replica,
            "give",
            self.command_id,
            self._delivery.command.SerializeToString(),
            agent=self.agent_id,
            within=self._within,
            revision=revision,
            next=self._passed_on,
        )

    def withdraw(self, command_id: str) -> None:
        self._routed.say(self.replica, "withdraw", command_id)

    def hear(self, number: int, part: wire.AnswerRequest) -> None:
        """Take the part that is next; others were heard before, or will be sent again."""
        if number != self._next:
            return
        if self.parts.full():
            message = "another replica of kas sent more of the answer than it was asked for"
            self._routed.lost(self, ConnectionLostError(message))
            return
        self._next += 1
        self.parts.put_nowait(part)

    def passed_on(self) -> None:
        """Have one more sent: a part was read."""
        self._passed_on += 1
        self._routed.say(self.replica, "more", self.command_id, next=self._passed_on)

    def failed(self, number: int, reason: str, message: str) -> None:
        if reason == NoLeaderError.reason:
            self.hear(number, wire.AnswerRequest(command_id=self.command_id, reason=NOT_LEADER, done=True))
        elif number != self._next:
            return
        elif reason in {AgentNotConnectedError.reason, ConnectionLostError.reason}:
            self._routed.lost(self)
        else:
            self._routed.lost(self, _FAILURES.get(reason, CommandError)(message))

    def end(self) -> None:
        if self._passing is not None:
            self._passing.cancel()
