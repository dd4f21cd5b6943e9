"""What one installation of kas has confirmed is enforced until another one speaks, and then not a moment longer."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import orjson
import pytest

from agentk.gitops.controller import Controller
from agentk.gitops.link import LinkError, ReportRejected
from agentk.kube.client import KubeClient
from agentk.kube.own import Own
from agentk.leadership.guard import Guard, now
from agentk.reports.queue import ReportQueue
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


class Answers:
    """The way back to kas: keeps what is answered, and what is reported."""

    def __init__(self) -> None:
        self.answers: list[wire.AnswerRequest] = []
        self.reports: list[wire.Report] = []

    async def answer(self, request: wire.AnswerRequest, *, within: float) -> bool:
        del within
        self.answers.append(request)
        return True

    async def wait_connected(self) -> None:
        return

    async def report(self, request: wire.ReportRequest) -> None:
        self.reports += request.reports

    async def to(self, command: wire.Command) -> wire.AnswerRequest:
        def found() -> list[wire.AnswerRequest]:
            return [one for one in self.answers if one.command_id == command.id]

        await eventually(found, what="an answer")
        return found()[0]

    def failures(self) -> list[tuple[str, str]]:
        failed = [one.sync for one in self.reports if one.sync.state == wire.SYNC_STATE_FAILED]
        return [(one.sync_id, one.reason) for one in failed]


@pytest.fixture
def elsewhere(kube: Kube) -> Iterator[str]:
    name = f"elsewhere-{secrets.token_hex(4)}"
    kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
async def kube_client(control_plane: Cluster) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as connected:
        yield connected


def configuration(agent_id: int, path: str, namespace: str) -> wire.KasMessage:
    project = wire.ManifestProject(id=1, path=path, default_namespace=namespace, prune=True)
    configured = wire.Configuration(agent_id=agent_id, agent_name="a", project="config", projects=[project])
    return wire.KasMessage(configuration=configured)


def snapshot(path: str, *, sync_id: str, command: str = "") -> list[wire.KasMessage]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"value": "1"}}
    header = wire.SnapshotHeader(
        project_id=1, project=path, sync_id=sync_id, digest=b"d", total_files=1, total_objects=1, command_id=command
    )
    file = wire.ManifestFile(path="a.yaml", objects=[orjson.dumps(body)])
    files = wire.SnapshotFiles(project_id=1, files=[file], command_id=command)
    complete = wire.SnapshotComplete(project_id=1, digest=b"d", command_id=command)
    return [
        wire.KasMessage(snapshot_header=header),
        wire.KasMessage(snapshot_files=files),
        wire.KasMessage(snapshot_complete=complete),
    ]


async def test_nothing_of_another_installation_is_applied_and_no_snapshot_under_another_projects_number(
    kube: Kube, kube_client: KubeClient, namespace: str, elsewhere: str
) -> None:
    agent_id, kas = 10**9 + secrets.randbelow(10**9), Answers()
    reports = ReportQueue(kas.report, connected=kas.wait_connected, failure=LinkError, rejection=ReportRejected)
    own = Own(kube_client, namespace="", pod="")
    controller = Controller(kube_client, reports, link=kas, own=own, home="default", stand=lambda _: None)
    guard = Guard(agent_id)
    guard.extend(now() + 3600)

    async def connect(installation: str, *messages: wire.KasMessage) -> list[wire.Holding]:
        holding = controller.holding()
        for message in (wire.KasMessage(welcome=wire.Welcome(installation_id=installation)), *messages):
            await controller.consume(message)
        return holding

    def exists(where: str) -> bool:
        return kube.find(f"/api/v1/namespaces/{where}/configmaps/one") is not None

    async def order(**command: wire.Reconcile | wire.Diff) -> wire.Command:
        made = wire.Command(id=secrets.token_hex(8), project_id=1, **command)  # type: ignore[arg-type]  # one of its fields
        made.timeout.FromSeconds(30)
        await controller.consume(wire.KasMessage(command=made))
        return made

    async with asyncio.TaskGroup() as tasks, controller.commands.running(), controller.running(guard):
        sending = tasks.create_task(reports.run())
        await connect("first", configuration(agent_id, "group/one", namespace), *snapshot("group/one", sync_id="s1"))
        await eventually(lambda: exists(namespace), what="it is applied")

        # The same again has it at hand; another one, with other settings for the same number and path, does not.
        assert [one.project_id for one in await connect("first")] == [1]
        assert (await kas.to(await order(reconcile=wire.Reconcile()))).reason == ""
        await connect("second")
        assert (await kas.to(await order(reconcile=wire.Reconcile()))).reason == "UnknownProject"
        assert await connect("second", configuration(agent_id, "group/one", elsewhere)) == []
        assert (await kas.to(await order(reconcile=wire.Reconcile()))).reason == "NothingReceived"
        assert controller.installation == "second"
        assert not exists(elsewhere)

        # What it sends for another path is refused, told, and not applied; so is what goes with a command.
        for message in snapshot("group/two", sync_id="s2"):
            await controller.consume(message)
        await eventually(lambda: ("s2", "SnapshotOfAnotherProject") in kas.failures(), what="it is told")
        asked = await order(diff=wire.Diff())
        for message in snapshot("group/two", sync_id="", command=asked.id):
            await controller.consume(message)
        assert (await kas.to(asked)).reason == "SnapshotOfAnotherProject"
        assert not exists(elsewhere)
        for message in snapshot("group/one", sync_id="s3"):
            await controller.consume(message)
        await eventually(lambda: exists(elsewhere), what="its own is applied")
        sending.cancel()
