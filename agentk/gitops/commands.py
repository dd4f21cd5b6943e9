"""What people order through kas, and the answers: each command in a task of its own, carried out once, within its time.

What a command does is the project's business (``Commanded``, which ``ProjectLoop`` is). Here is what all have in
common: who is asked, how long, how many at once, and answers in parts that a message can hold, which are sent again
over a reconnect for as long as somebody may wait for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from agentk.apply.inventory import InventoryError
from agentk.apply.model import Refusal
from agentk.gitops.link import LinkError
from agentk.gitops.orders import OtherPrune
from agentk.kube.errors import KubeError
from agentk.reports.convert import ref_message
from agentlink import limits, logs
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from agentk.apply.model import Snapshot

AT_ONCE: Final = 8
"""Commands under way; kas gives no more to one agent."""

REMEMBERED: Final = 200
"""Commands whose ids are known, so that one that comes again is not carried out again."""

DEFAULT_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 3600.0

AGAIN_SECONDS: Final = 1.0
"""Before a part is sent again that kas did not take."""

log = logs.get_logger("commands")


class Commanded(Protocol):
    """A project that can be ordered something. Each returns why it will not; it may raise what the cluster raises."""

    async def reconcile(self) -> Refusal | None:
        """Sync the newest revision anew; return when that has begun."""

    async def confirm_prune(self, digest: bytes) -> Refusal | None:
        """Carry out the prune that waits, if it is of these objects; return when that is over."""

    def diff(self, snapshot: Snapshot) -> AsyncGenerator[wire.ObjectDiff, None]:
        """Tell what a revision would change, object by object."""


class Answering(Protocol):
    """The way back to kas; ``agentk.gitops.link.Link`` is one."""

    async def answer(self, request: wire.AnswerRequest, *, within: float) -> bool:
        """Deliver a part, or raise LinkError; False: nobody waits for it."""

    async def wait_connected(self) -> None:
        """Return when there is a connection."""


class Commands:
    """Takes commands from ``running`` on. ``find`` gives a project by its id, or says why it cannot be asked."""

    def __init__(self, link: Answering, find: Callable[[int], Commanded | Refusal]) -> None:
        self._link = link
        self._find = find
        self._tasks: asyncio.TaskGroup | None = None
        self._snapshots: dict[str, asyncio.Future[Snapshot | Refusal]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._known: deque[str] = deque(maxlen=REMEMBERED)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Carry commands out while the context lasts; leaving it breaks them off."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                for task in self._under_way:
                    task.cancel()

    def take(self, command: wire.Command) -> None:
        """Begin with a command, unless it was begun before."""
        if self._tasks is None or command.id in self._known:
            return
        self._known.append(command.id)
        if command.WhichOneof("command") == "diff":
            self._snapshots[command.id] = asyncio.get_running_loop().create_future()
        crowded = len(self._under_way) >= AT_ONCE
        task = self._tasks.create_task(self._carry_out(command, crowded=crowded), name="command")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def accompany(self, command_id: str, snapshot: Snapshot) -> None:
        """Take the snapshot that goes with a command."""
        self._settle(command_id, snapshot)

    def decline(self, command_id: str, refusal: Refusal) -> None:
        """Take note that the snapshot that goes with a command is not to be used."""
        self._settle(command_id, refusal)

    def _settle(self, command_id: str, found: Snapshot | Refusal) -> None:
        waiting = self._snapshots.get(command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(found)

    async def _carry_out(self, command: wire.Command, *, crowded: bool) -> None:
        seconds = command.timeout.ToMilliseconds() / 1000 or DEFAULT_SECONDS
        what = command.WhichOneof("command") or "unknown"
        log.info("Command received", command=what, project=command.project_id)
        try:
            async with (
                asyncio.timeout(min(seconds, LONGEST_SECONDS)),
                aclosing(self._answer(command, crowded)) as parts,
            ):
                async for part in parts:
                    part.command_id = command.id
                    if not await self._deliver(part):
                        log.info("Nobody waits for the answer to a command", command=what)
                        return
                    if part.reason:
                        log.info("Command not carried out", command=what, reason=part.reason, why=part.message)
        except TimeoutError:
            log.warning("A command was not answered in its time", command=what, seconds=seconds)
        finally:
            self._snapshots.pop(command.id, None)

    async def _answer(self, command: wire.Command, crowded: bool) -> AsyncGenerator[wire.AnswerRequest, None]:  # noqa: FBT001 - from one place
        """Yield the parts of the answer."""
        if crowded:
            yield _no(Refusal("TooManyCommands", f"{AT_ONCE} commands are under way; wait until they have ended"))
            return
        project = self._find(command.project_id)
        if isinstance(project, Refusal):
            yield _no(project)
            return
        try:
            match command.WhichOneof("command"):
                case "reconcile":
                    yield _end(await project.reconcile())
                case "confirm_prune":
                    yield _end(await project.confirm_prune(command.confirm_prune.objects_digest))
                case "diff":
                    async with aclosing(self._diff(project, command.id)) as parts:
                        async for part in parts:
                            yield part
                case _:
                    yield _no(Refusal("UnknownCommand", "this agentk is older than the command; update it"))
        except KubeError as error:
            yield _no(Refusal(error.reason or "KubernetesError", str(error)))
        except InventoryError as error:
            yield _no(Refusal(error.reason, str(error)))

    async def _diff(self, project: Commanded, command_id: str) -> AsyncGenerator[wire.AnswerRequest, None]:
        snapshot = await self._snapshots[command_id]
        if isinstance(snapshot, Refusal):
            yield _no(snapshot)
            return
        part, counts = wire.AnswerRequest(), wire.SyncCounts()
        async with aclosing(project.diff(snapshot)) as objects:
            async for one in objects:
                _fit(one)
                _count(counts, one)
                if part.objects and part.ByteSize() + one.ByteSize() > limits.CHUNK_BYTES:
                    yield part
                    part = wire.AnswerRequest()
                part.objects.append(one)
        part.done = True
        part.counts.CopyFrom(counts)
        yield part

    async def _deliver(self, part: wire.AnswerRequest) -> bool:
        """Send a part until kas takes it; the command's time ends that."""
        while True:
            await self._link.wait_connected()
            try:
                return await self._link.answer(part, within=LONGEST_SECONDS)
            except LinkError as error:
                log.debug("An answer waits", why=str(error))
                await asyncio.sleep(AGAIN_SECONDS)


def _end(refusal: Refusal | None) -> wire.AnswerRequest:
    return wire.AnswerRequest(done=True) if refusal is None else _no(refusal)


def _no(refusal: Refusal) -> wire.AnswerRequest:
    answer = wire.AnswerRequest(done=True, reason=refusal.reason, message=refusal.message)
    if isinstance(refusal, OtherPrune):
        # All of them or none: kas forgets the others.
        answer.objects.extend(
            wire.ObjectDiff(object=ref_message(ref), result=wire.RESULT_SKIPPED) for ref in sorted(refusal.waiting)
        )
        if answer.ByteSize() > limits.CHUNK_BYTES:
            del answer.objects[:]
    return answer


def _fit(one: wire.ObjectDiff) -> None:
    """Leave fields out until the object fits into one part."""
    left_out = 0
    while one.fields and one.ByteSize() > limits.CHUNK_BYTES:
        half = max(1, len(one.fields) // 2)
        left_out += half
        del one.fields[-half:]
    if left_out:
        one.message = f"{one.message}; {left_out} more fields are not shown".lstrip("; ")


_COUNTED: Final = {
    wire.RESULT_CREATED: "created",
    wire.RESULT_CONFIGURED: "configured",
    wire.RESULT_UNCHANGED: "unchanged",
    wire.RESULT_PRUNED: "pruned",
    wire.RESULT_SKIPPED: "skipped",
    wire.RESULT_FAILED: "failed",
}


def _count(counts: wire.SyncCounts, one: wire.ObjectDiff) -> None:
    if (name := _COUNTED.get(one.result)) is not None:
        setattr(counts, name, getattr(counts, name) + 1)
    if one.result != wire.RESULT_PRUNED:
        counts.total += 1
