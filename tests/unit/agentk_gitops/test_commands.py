"""Commands are carried out once and within their time, and answered in parts that a message can hold."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentk.apply.model import Refusal, Snapshot
from agentk.gitops.commands import AT_ONCE, Commands
from agentk.gitops.link import LinkError
from agentk.gitops.orders import OtherPrune
from agentk.kube.errors import KubeError
from agentlink import limits
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agentk.gitops.commands import Commanded

SNAPSHOT = Snapshot(7, "c0ffee", "", b"digest", {"a.yaml": (b"{}",)})


class Kas:
    """The way back, which may fail, and what came over it."""

    def __init__(self) -> None:
        self.parts: list[wire.AnswerRequest] = []
        self.failures = 0
        self.unwanted = False

    async def wait_connected(self) -> None:
        pass

    async def answer(self, request: wire.AnswerRequest, *, within: float) -> bool:
        assert within > 0
        if self.failures:
            self.failures -= 1
            raise LinkError("gone")
        if self.unwanted:
            return False
        part = wire.AnswerRequest()
        part.CopyFrom(request)
        self.parts.append(part)
        return True

    def answers(self) -> dict[str, str]:
        return {part.command_id: part.reason for part in self.parts if part.done}


class Project:
    """A project that does what it is told."""

    def __init__(self) -> None:
        self.reconciled = 0
        self.release: asyncio.Event | None = None
        self.error: KubeError | None = None
        self.objects: list[wire.ObjectDiff] = []
        self.waiting: frozenset[ObjectRef] = frozenset()

    async def reconcile(self) -> Refusal | None:
        if self.error is not None:
            raise self.error
        self.reconciled += 1
        if self.release is not None:
            await self.release.wait()
        return None

    async def confirm_prune(self, digest: bytes) -> Refusal | None:
        return None if digest == b"right" else OtherPrune.of(self.waiting)

    async def diff(self, snapshot: Snapshot) -> AsyncGenerator[wire.ObjectDiff, None]:
        assert snapshot is SNAPSHOT
        for one in self.objects:
            yield one


@asynccontextmanager
async def commanded(project: Project | Refusal) -> AsyncIterator[tuple[Commands, Kas]]:
    kas = Kas()

    def find(project_id: int) -> Commanded | Refusal:
        return project if project_id == 7 else Refusal("UnknownProject", "not driven here")

    commands = Commands(kas, find)
    async with commands.running():
        yield commands, kas


def reconcile(command_id: str, *, project: int = 7, seconds: float = 10.0) -> wire.Command:
    command = wire.Command(id=command_id, project_id=project, reconcile=wire.Reconcile())
    command.timeout.FromMilliseconds(round(seconds * 1000))
    return command


async def test_a_command_is_carried_out_once_and_answered() -> None:
    project = Project()
    async with commanded(project) as (commands, kas):
        commands.take(reconcile("a"))
        commands.take(reconcile("a"))
        await eventually(lambda: kas.answers() == {"a": ""}, what="the answer")
        commands.take(reconcile("a"))
        commands.take(reconcile("b"))
        await eventually(lambda: "b" in kas.answers(), what="the next answer")
    assert project.reconciled == 2


@pytest.mark.parametrize(("waiting", "told"), [(0, 0), (3, 3), (20_000, 0)])
async def test_a_prune_that_is_refused_comes_with_all_that_waits_or_with_nothing(waiting: int, told: int) -> None:
    project = Project()
    project.waiting = frozenset(ObjectRef("", "ConfigMap", "n" * 60, f"c-{number}") for number in range(waiting))
    command = wire.Command(id="no", project_id=7, confirm_prune=wire.ConfirmPrune(objects_digest=b"wrong"))
    async with commanded(project) as (commands, kas):
        commands.take(command)
        await eventually(lambda: "no" in kas.answers(), what="the answer")
    (answer,) = kas.parts
    assert (answer.reason, len(answer.objects)) == ("PruneSetChanged", told)


async def test_every_refusal_is_answered_with_its_reason() -> None:
    async with commanded(Project()) as (commands, kas):
        commands.take(reconcile("elsewhere", project=8))
        commands.take(wire.Command(id="newer", project_id=7))
        commands.take(wire.Command(id="no", project_id=7, confirm_prune=wire.ConfirmPrune(objects_digest=b"wrong")))
        commands.take(wire.Command(id="yes", project_id=7, confirm_prune=wire.ConfirmPrune(objects_digest=b"right")))
        commands.take(wire.Command(id="diff", project_id=7, diff=wire.Diff()))
        commands.accompany("diff", SNAPSHOT)
        await eventually(lambda: len(kas.answers()) == 5, what="all answers")
    assert kas.answers() == {
        "elsewhere": "UnknownProject",
        "newer": "UnknownCommand",
        "no": "PruneSetChanged",
        "yes": "",
        "diff": "",
    }
    async with commanded(Refusal("NotLeader", "another replica leads")) as (commands, kas):
        commands.take(reconcile("standby"))
        await eventually(lambda: kas.answers() == {"standby": "NotLeader"}, what="the answer")


async def test_what_the_cluster_refuses_is_the_answer() -> None:
    project = Project()
    project.error = KubeError(403, "Forbidden", "may not")
    async with commanded(project) as (commands, kas):
        commands.take(reconcile("a"))
        await eventually(lambda: kas.answers() == {"a": "Forbidden"}, what="the answer")


async def test_too_many_at_once_are_refused_and_there_is_room_again_later() -> None:
    project = Project()
    project.release = asyncio.Event()
    async with commanded(project) as (commands, kas):
        for number in range(AT_ONCE + 1):
            commands.take(reconcile(str(number)))
        await eventually(lambda: kas.answers() == {str(AT_ONCE): "TooManyCommands"}, what="the refusal")
        project.release.set()
        await eventually(lambda: len(kas.answers()) == AT_ONCE + 1, what="all answers")
        commands.take(reconcile("later"))
        await eventually(lambda: kas.answers().get("later") == "", what="the answer")


async def test_an_answer_is_sent_again_until_kas_takes_it_or_wants_it_no_more() -> None:
    project = Project()
    async with commanded(project) as (commands, kas):
        kas.failures = 1
        commands.take(reconcile("a"))
        await eventually(lambda: kas.answers() == {"a": ""}, what="the answer")
        kas.unwanted = True
        commands.take(reconcile("b"))
        await eventually(lambda: project.reconciled == 2, what="the second")
    assert kas.answers() == {"a": ""}


async def test_a_command_ends_with_its_time_and_with_the_program() -> None:
    project = Project()
    project.release = asyncio.Event()
    async with commanded(project) as (commands, kas):
        commands.take(reconcile("short", seconds=0.05))
        await eventually(lambda: not commands._under_way, what="the end of the command")
        commands.take(reconcile("long"))
        await eventually(lambda: project.reconciled == 2, what="the beginning of the next")
    assert kas.answers() == {}


async def test_a_diff_comes_in_parts_of_bounded_size_and_is_counted() -> None:
    project = Project()
    huge = wire.FieldDiff(path="/data/x", before="b" * 300_000, after="a" * 300_000)
    project.objects = [
        wire.ObjectDiff(object=wire.ObjectRef(kind="ConfigMap", name=str(number)), result=result, fields=fields)
        for number, (result, fields) in enumerate(
            [
                (wire.RESULT_CREATED, [huge]),
                (wire.RESULT_CONFIGURED, [huge]),
                (wire.RESULT_PRUNED, []),
                (wire.RESULT_CONFIGURED, [huge] * 9),
            ]
        )
    ]
    async with commanded(project) as (commands, kas):
        commands.take(wire.Command(id="d", project_id=7, diff=wire.Diff()))
        commands.accompany("other", SNAPSHOT)
        commands.accompany("d", SNAPSHOT)
        await eventually(lambda: "d" in kas.answers(), what="the last part")
    assert all(part.ByteSize() <= limits.MESSAGE_BYTES // 2 for part in kas.parts)
    assert [one.object.name for part in kas.parts for one in part.objects] == ["0", "1", "2", "3"]
    assert "more fields are not shown" in kas.parts[-1].objects[-1].message
    counts = kas.parts[-1].counts
    assert (counts.total, counts.created, counts.configured, counts.pruned) == (3, 1, 2, 1)
    assert [part.done for part in kas.parts] == [False] * (len(kas.parts) - 1) + [True]
