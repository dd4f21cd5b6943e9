"""From what kas sends to the loops of the projects: starts, feeds, reconfigures and ends them.

A project that leaves the configuration is let go: its loop ends, its objects and its inventory stay.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentk.apply.execute import Executor
from agentk.gitops.link import Reconnect
from agentk.gitops.observer import Observer
from agentk.gitops.project import ProjectLoop
from agentk.gitops.receive import Configured, Received, Receiver, TransferError
from agentk.gitops.sync import Cluster
from agentk.kube.discovery import Discovery
from agentk.kube.errors import KubeError
from agentk.kube.objects import Objects
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentk.apply.model import ProjectSettings
    from agentk.kube.client import KubeClient
    from agentk.reports.queue import ReportQueue
    from agentlink.v1 import agentlink_pb2 as wire

log = logs.get_logger("gitops")

_SHOWN_FILES = 10
"""Paths that a log line names of those that travelled."""


class Controller:
    """The agent's projects. ``own_namespace`` is where agentk runs, empty when it runs outside the cluster."""

    def __init__(self, kube: KubeClient, reports: ReportQueue, *, own_namespace: str) -> None:
        self._kube = kube
        self._reports = reports
        self._own_namespace = own_namespace
        self._receiver = Receiver()
        self._discovery = Discovery(kube)
        self._objects = Objects(kube)
        self._executor = Executor(self._objects, self._discovery, width=kube.limiter.concurrency.ceiling)
        self._tasks: asyncio.TaskGroup | None = None
        self._cluster: Cluster | None = None
        self._loops: dict[int, tuple[ProjectLoop, asyncio.Task[None]]] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}

    def holding(self) -> list[wire.Holding]:
        """Return what to tell kas, at a new connection, that this agent holds."""
        return self._receiver.connected()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the context lasts; leaving it ends every loop and watch."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            preparing = tasks.create_task(self._prepare(), name="discovery")
            try:
                yield
            finally:
                preparing.cancel()
                self._tasks = None
                for _, task in self._loops.values():
                    task.cancel()
                if self._cluster is not None:
                    self._cluster.observer.stop()

    async def _prepare(self) -> None:
        """Learn what the cluster serves before the first revision needs it; if that fails, the revision asks again."""
        try:
            await self._discovery.refresh()
        except KubeError as error:
            log.debug("The API server does not answer yet", why=str(error))

    async def consume(self, message: wire.KasMessage) -> None:
        """Take one message of kas.

        Raises:
            Reconnect: It does not fit what is held here; a new connection puts that right.
        """
        try:
            event = self._receiver.feed(message)
        except TransferError as error:
            self._receiver.reset()
            raise Reconnect(str(error)) from error
        match event:
            case Configured():
                self._configure(event)
            case Received(snapshot, sent):
                log.debug(
                    "Snapshot received",
                    project_id=snapshot.project_id,
                    commit_id=snapshot.commit,
                    files=len(snapshot.files),
                    sent=len(sent),
                    sent_first=sent[:_SHOWN_FILES],
                )
                found = self._loops.get(snapshot.project_id)
                if found is not None:
                    found[0].offer(snapshot)
            case None:
                pass

    def _configure(self, configured: Configured) -> None:
        tasks = self._tasks
        if tasks is None:
            return
        logs.set_level(configured.log_level)
        log.info("Configuration in force", commit_id=configured.commit, projects=[p.path for p in configured.projects])
        cluster = self._cluster_of(configured.agent_id, tasks)
        wanted = {settings.project_id: settings for settings in configured.projects}
        for project_id, (loop, task) in list(self._loops.items()):
            settings = wanted.get(project_id)
            if settings is None or _place_of(settings) != _place_of(loop.settings):
                del self._loops[project_id]
                task.cancel()
                self._ending[project_id] = task
        for project_id, settings in wanted.items():
            if project_id in self._loops:
                self._loops[project_id][0].reconfigure(settings)
            else:
                self._start(cluster, settings, tasks)

    def _start(self, cluster: Cluster, settings: ProjectSettings, tasks: asyncio.TaskGroup) -> None:
        loop = ProjectLoop(self._kube, cluster, settings, self._reports)
        before = self._ending.pop(settings.project_id, None)
        task = tasks.create_task(_run_after(before, loop), name=f"project-{settings.path}")
        self._loops[settings.project_id] = (loop, task)

    def _cluster_of(self, agent_id: int, tasks: asyncio.TaskGroup) -> Cluster:
        if self._cluster is None or self._cluster.agent_id != agent_id:
            observer = Observer(self._kube, agent_id, tasks)
            self._cluster = Cluster(
                agent_id, self._discovery, self._objects, observer, self._executor, self._own_namespace
            )
        return self._cluster


def _place_of(settings: ProjectSettings) -> tuple[str, str]:
    """Return what a loop is made for, and cannot change while it lives: where its inventory is, and who it acts as."""
    return (settings.default_namespace, settings.impersonate_user)


async def _run_after(before: asyncio.Task[None] | None, loop: ProjectLoop) -> None:
    """Run a loop; an earlier one of the same project, which may still write its inventory, ends first."""
    if before is not None:
        await asyncio.wait([before])
    await loop.run()
