"""Agents played by a test: the real link and protocol, and a cluster that takes everything at once."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentk.gitops.link import Link, LinkError
from agentk.gitops.receive import Accompanied, Ordered, Received, Receiver
from agentlink.address import parse_kas_address
from agentlink.capabilities import CAPABILITIES
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentk.apply.model import Snapshot

AGAIN_SECONDS = 0.2


@dataclass
class Player:
    """One replica of an agent.

    ``applied`` has every snapshot that it was given, in order; the one that it has, told again by a new connection, is
    none, as to agentk. ``acknowledged`` are the ids of events that kas said to have stored; their messages end in it.
    One that does not lead says so when it is ordered something, and reports nothing. Who clears ``may_answer`` lets
    commands wait.
    """

    address: str
    token: str
    instance: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: int = 1
    leads: bool = True
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    receiver: Receiver = field(default_factory=Receiver)
    configurations: list[wire.Configuration] = field(default_factory=list)
    applied: list[Snapshot] = field(default_factory=list)
    commands: list[wire.Command] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_answer.set()
        self._todo: asyncio.Queue[Snapshot | wire.Command] = asyncio.Queue()
        self._tasks: asyncio.TaskGroup | None = None
        self._linking: asyncio.Task[None] | None = None
        self.link = self._new_link()

    def move_to(self, address: str) -> None:
        """Connect to another address from now on."""
        self.address = address
        assert self._tasks is not None
        assert self._linking is not None
        self._linking.cancel()
        self.link = self._new_link()
        self._linking = self._tasks.create_task(self.link.run(self._consume))

    def _new_link(self) -> Link:
        return Link(parse_kas_address(self.address), token=lambda: self.token, hello=self._hello, ca_cert_file=None)

    @property
    def commit(self) -> str:
        """What it has last."""
        return self.applied[-1].commit if self.applied else ""

    @property
    def idle(self) -> bool:
        """Whether all that it was given has been reported and acknowledged."""
        return len(self.acknowledged) == len(self.applied)

    @property
    def connected(self) -> bool:
        """Whether it is connected now."""
        return self.link.state.connected_since is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Player]:
        """Be connected as long as the block runs."""
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            self._linking = group.create_task(self.link.run(self._consume))
            working = group.create_task(self._work())
            try:
                yield self
            finally:
                self._linking.cancel()
                working.cancel()

    def _hello(self) -> wire.Hello:
        holding = [
            wire.Holding(project_id=project, commit=snapshot.commit, digest=snapshot.digest)
            for project, snapshot in self.receiver.held.items()
        ]
        return wire.Hello(
            meta=wire.AgentMeta(version="1.0", instance_id=self.instance),
            holding=holding,
            capabilities=CAPABILITIES,
            installation_id=self.receiver.installation,
        )

    async def _consume(self, message: wire.KasMessage) -> None:
        if message.WhichOneof("message") == "configuration":
            self.configurations.append(message.configuration)
        self.receiver.meet(message)
        match self.receiver.feed(message):
            case Received(snapshot) if not self.applied or self.applied[-1].sync_id != snapshot.sync_id:
                self.applied.append(snapshot)
                self._todo.put_nowait(snapshot)
            case Ordered(command):
                self.commands.append(command)
                if command.WhichOneof("command") != "diff":
                    self._todo.put_nowait(command)
            case Accompanied(command_id, _):
                self._todo.put_nowait(next(one for one in self.commands if one.id == command_id))
            case _:
                pass

    async def _work(self) -> None:
        while True:
            match await self._todo.get():
                case wire.Command() as command:
                    await self.may_answer.wait()
                    await self._answer(command)
                case snapshot if self.leads:
                    await self._report(snapshot)
                case _:
                    pass

    async def _answer(self, command: wire.Command) -> None:
        if not self.leads:
            await self.link.answer(wire.AnswerRequest(command_id=command.id, reason="NotLeader", done=True), within=60)
            return
        for number in range(self.parts):
            done = number == self.parts - 1
            part = wire.AnswerRequest(command_id=command.id, done=done, message=f"part {number}")
            await self.link.answer(part, within=60)

    async def _report(self, snapshot: Snapshot) -> None:
        """Report until kas has acknowledged it, as agentk does."""
        report = wire.Report(id=uuid.uuid4().hex)
        report.at.FromDatetime(datetime.now(UTC))
        report.sync.sync_id = snapshot.sync_id
        report.sync.project_id = snapshot.project_id
        report.sync.commit = snapshot.commit
        report.sync.state = wire.SYNC_STATE_HEALTHY
        event = wire.Report(id=uuid.uuid4().hex)
        event.at.CopyFrom(report.at)
        event.event.reason, event.event.message = "Played", f"report {event.id}"
        event.event.project_id = snapshot.project_id
        request = wire.ReportRequest(reports=[report, event])
        while True:
            try:
                await self.link.report(request)
            except LinkError:
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self.acknowledged.append(event.id)
                return
