"""The parts of agentk that drive projects, over a real link and a real cluster; what kas would send, the test sends."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from agentk.gitops.controller import Controller
from agentk.gitops.link import Link, LinkError, ReportRejected
from agentk.kube.client import KubeClient
from agentk.kube.own import Own
from agentk.leadership.guard import Guard, now
from agentk.reports.queue import ReportQueue
from agentlink.address import parse_kas_address
from agentlink.capabilities import CAPABILITIES
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import Kas, running
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

PROJECT = 1


@dataclass
class DrivenAgent:
    """One agent with one project, and kas' side of the link to it."""

    kas: Kas
    namespace: str
    agent_id: int = field(default_factory=lambda: secrets.randbelow(1 << 40))
    revisions: int = 0
    link: Link = field(init=False)

    @property
    def inventory_id(self) -> str:
        return f"{self.agent_id}-{PROJECT}"

    def configure(self, **settings: Any) -> None:  # noqa: ANN401 - fields of the message
        """Send a configuration; ``settings`` are those of its one project."""
        settings.setdefault("prune", True)
        project = wire.ManifestProject(id=PROJECT, path="group/project", default_namespace=self.namespace, **settings)
        project.reconcile_timeout.FromSeconds(600)
        project.prune_timeout.FromSeconds(600)
        self.kas.send(wire.KasMessage(configuration=wire.Configuration(agent_id=self.agent_id, projects=[project])))

    def offer(self, *objects: dict[str, Any], command_id: str = "", like: int = 0) -> str:
        """Send a revision of these objects, each in a file of its own; return its sync id.

        ``like`` is the number of an earlier one with the same objects, whose digest it therefore has.
        """
        self.revisions += 1
        sync_id, digest = f"sync-{self.revisions}", (like or self.revisions).to_bytes(8, "big")
        header = wire.SnapshotHeader(
            project_id=PROJECT,
            commit=f"{self.revisions:040x}",
            sync_id=sync_id,
            digest=digest,
            total_files=len(objects),
            total_objects=len(objects),
            command_id=command_id,
        )
        files = [
            wire.ManifestFile(path=f"{number}.yaml", objects=[orjson.dumps(one, option=orjson.OPT_SORT_KEYS)])
            for number, one in enumerate(objects)
        ]
        self.kas.send(wire.KasMessage(snapshot_header=header))
        sent = wire.SnapshotFiles(project_id=PROJECT, files=files, command_id=command_id)
        self.kas.send(wire.KasMessage(snapshot_files=sent))
        complete = wire.SnapshotComplete(project_id=PROJECT, digest=digest, command_id=command_id)
        self.kas.send(wire.KasMessage(snapshot_complete=complete))
        return sync_id

    def config_map(self, name: str, value: str = "1", **data: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value, **data}}

    def _reports(self) -> Iterator[wire.Report]:
        for _, request in self.kas.stored:
            yield from request.reports

    def syncs(self, sync_id: str) -> list[wire.SyncReport]:
        """Return the states that were told of a revision, oldest first."""
        reports = [report.sync for report in self._reports() if report.WhichOneof("report") == "sync"]
        return [sync for sync in reports if sync.sync_id == sync_id]

    def outcome(self, name: str) -> wire.ObjectOutcome | None:
        """Return what was last told of an object, results and health taken together."""
        found = None
        for report in self._reports():
            for outcome in report.outcomes.outcomes:
                if outcome.object.name == name:
                    merged = wire.ObjectOutcome()
                    merged.CopyFrom(outcome)
                    if found is not None:
                        merged.result = outcome.result or found.result
                        merged.health = outcome.health or found.health
                    found = merged
        return found

    def events(self, reason: str) -> list[wire.EventReport]:
        reports = [report.event for report in self._reports() if report.WhichOneof("report") == "event"]
        return [event for event in reports if event.reason == reason]

    async def reached(self, sync_id: str, state: str, *, reason: str = "") -> wire.SyncReport:
        """Wait until the newest state of a revision is this one, with this reason."""
        wanted = wire.SyncState.Value(f"SYNC_STATE_{state.upper()}")

        def newest() -> wire.SyncReport | None:
            told = self.syncs(sync_id)[-1:]
            return told[0] if told and (told[0].state, told[0].reason) == (wanted, reason) else None

        await eventually(lambda: newest() is not None, what=f"{sync_id} is {state} {reason}", within=30)
        found = newest()
        assert found is not None
        return found

    async def order(self, **command: Any) -> wire.AnswerRequest:  # noqa: ANN401 - a field of the message
        """Give a command and return the last part of its answer."""
        one = self.command(**command)
        self.kas.send(wire.KasMessage(command=one))
        return await self.answered(one)

    def command(self, *, project: int = PROJECT, **command: Any) -> wire.Command:  # noqa: ANN401 - as above
        one = wire.Command(id=uuid.uuid4().hex, project_id=project, **command)
        one.timeout.FromSeconds(30)
        return one

    async def answered(self, command: wire.Command) -> wire.AnswerRequest:
        def last() -> list[wire.AnswerRequest]:
            return [part for part in self.kas.answers if part.command_id == command.id and part.done]

        await eventually(last, what=f"an answer to {command.WhichOneof('command')}", within=30)
        return last()[0]


@asynccontextmanager
async def driven_agent(
    control_plane: Cluster, cluster: Kube, folder: Path, *, of: DrivenAgent | None = None
) -> AsyncIterator[DrivenAgent]:
    """Run an agent for as long as the block does: a new one in a namespace of its own, or an earlier one anew."""
    settings = ListenerSettings("127.0.0.1", websocket_port=0, grpc_port=0, tls=None)
    async with (
        running(settings, folder) as kas,
        await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as kube,
    ):
        driven = DrivenAgent(kas, of.namespace, of.agent_id) if of else DrivenAgent(kas, _new_namespace(cluster))
        secret, _ = await kas.register()
        link = driven.link = Link(
            parse_kas_address(kas.url("grpc")),
            token=lambda: secret,
            hello=lambda: wire.Hello(
                meta=wire.AgentMeta(version="1.0"),
                holding=controller.holding(),
                capabilities=CAPABILITIES,
                installation_id=controller.installation,
            ),
        )
        reports = ReportQueue(link.report, connected=link.wait_connected, failure=LinkError, rejection=ReportRejected)
        controller = Controller(
            kube, reports, link=link, own=Own(kube, namespace="", pod=""), home="default", stand=lambda _: None
        )
        guard = Guard(driven.agent_id)
        guard.extend(now() + 3600)
        async with asyncio.TaskGroup() as tasks, controller.commands.running(), controller.running(guard):
            parts = [tasks.create_task(link.run(controller.consume)), tasks.create_task(reports.run())]
            try:
                yield driven
            finally:
                for part in parts:
                    part.cancel()


def _new_namespace(kube: Kube) -> str:
    name = f"driven-{secrets.token_hex(4)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
