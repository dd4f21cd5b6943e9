"""From what kas sends to the loops of the projects: starts, feeds, reconfigures and ends them.

A project that leaves the configuration is let go: its loop ends, its objects and its inventory stay. Only the replica
that leads has loops; the others take in what kas sends and have everything at hand when it is their turn.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentk.apply.execute import Executor
from agentk.apply.model import Refusal
from agentk.gitops.autoscalers import Autoscalers
from agentk.gitops.commands import Commands
from agentk.gitops.link import Reconnect
from agentk.gitops.observer import Observer
from agentk.gitops.project import ProjectLoop
from agentk.gitops.receive import Accompanied, Configured, Ordered, Received, Receiver, Refused, TransferError
from agentk.gitops.rivals import Rivals
from agentk.gitops.served_kinds import ServedKinds
from agentk.gitops.sync import Cluster
from agentk.kube.discovery import Discovery
from agentk.kube.errors import KubeError
from agentk.kube.inventory_key import InventoryKey
from agentk.kube.objects import Objects
from agentlink import logs
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from agentk.apply.identity import Identity
    from agentk.apply.model import ProjectSettings, Snapshot
    from agentk.gitops.commands import Answering
    from agentk.gitops.holders import Holder
    from agentk.kube.client import KubeClient
    from agentk.kube.own import Own
    from agentk.leadership.campaign import Trouble
    from agentk.leadership.guard import Guard
    from agentk.reports.queue import ReportQueue

log = logs.get_logger("gitops")

_SHOWN_FILES = 10
"""Paths that a log line names of those that travelled."""


class Controller:
    """The agent's projects. Its ``commands`` are carried out while they run."""

    def __init__(
        self,
        kube: KubeClient,
        reports: ReportQueue,
        *,
        link: Answering,
        own: Own,
        home: str,
        stand: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            kube: The cluster.
            reports: Takes what is to be told.
            link: Takes what commands are answered.
            own: What agentk itself stands on.
            home: The namespace where agentk runs, and keeps the key of its inventories.
            stand: Is told which agent this is, as soon as kas has said so.
        """
        self.commands = Commands(link, self._commanded)
        self._kube = kube
        self._reports = reports
        self._own = own
        self._home = home
        self._stand = stand
        self._receiver = Receiver()
        self._discovery = Discovery(kube)
        self._configured: Configured | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._guard: Guard | None = None
        self._cluster: Cluster | None = None
        self._loops: dict[int, tuple[ProjectLoop, asyncio.Task[None]]] = {}
        self._ending: list[tuple[ProjectSettings, asyncio.Task[None]]] = []
        self._trouble: Trouble | None = None

    def holding(self) -> list[wire.Holding]:
        """Return what to tell kas, at a new connection, that this agent holds."""
        return self._receiver.connected()

    @property
    def installation(self) -> str:
        """Return the installation of kas that what is held came from."""
        return self._receiver.installation

    async def prepare(self) -> None:
        """Learn what the cluster serves before the first revision needs it; if that fails, the revision asks again."""
        try:
            await self._discovery.refresh()
        except KubeError as error:
            log.debug("The API server does not answer yet", why=str(error))

    @asynccontextmanager
    async def running(self, guard: Guard) -> AsyncIterator[None]:
        """Work while the context lasts; leaving it ends every loop and watch.

        Everything begins from scratch: while others led, anything may have changed.

        Args:
            guard: Of the term for which this replica leads: no write leaves while it is closed.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._guard = tasks, guard
                self._start_all()
                for project_id, (loop, _) in self._loops.items():
                    if (held := self._receiver.held.get(project_id)) is not None:
                        loop.offer(held)
                try:
                    yield
                finally:
                    self._tasks = self._guard = None
                    if not guard.is_open():
                        # Nobody waits any more whether it opens again, such as with a last write of an inventory.
                        guard.end()
                    for _, task in self._loops.values():
                        task.cancel()
                    if self._cluster is not None:
                        self._cluster.observer.stop()
                        if self._cluster.autoscalers is not None:
                            self._cluster.autoscalers.stop()
                        if self._cluster.served is not None:
                            self._cluster.served.stop()
        finally:
            self._loops.clear()
            self._ending.clear()
            self._cluster = None
            if guard.is_over:
                # Who leads now says how things are.
                self._reports.forget()
                self._tell_trouble()

    def hindered(self, trouble: Trouble | None) -> None:
        """Take note of why nobody can be elected, None when that is over; tell it of every project that is held."""
        self._trouble = trouble
        self._tell_trouble()

    def _tell_trouble(self, *snapshots: Snapshot) -> None:
        trouble = self._trouble
        if trouble is None or self._tasks is not None:
            return
        for snapshot in snapshots or self._receiver.held.values():
            self._reports.sync(snapshot, wire.SYNC_STATE_FAILED, reason=trouble.reason, message=trouble.message)
            self._reports.event(
                snapshot.project_id,
                sync_id=snapshot.sync_id,
                reason=trouble.reason,
                message=trouble.message,
                warning=True,
            )

    async def consume(self, message: wire.KasMessage) -> None:
        """Take one message of kas.

        Raises:
            Reconnect: It does not fit what is held here; a new connection puts that right.
        """
        if self._receiver.meet(message):
            self._let_go()
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
                self._tell_trouble(snapshot)
            case Ordered(command):
                self.commands.take(command)
            case Accompanied(command_id, snapshot):
                self.commands.accompany(command_id, snapshot)
            case Refused(snapshot, refusal, command_id):
                self._refused(snapshot, refusal, command_id)
            case None:
                pass

    def removed(self) -> None:
        """Do nothing any more: kas has no such agent. What was applied stays as it is."""
        log.error(
            "kas has removed this agent: nothing is applied, pruned or put back any more, and what was applied stays."
            " To go on, register it again (`kas agent create`) and put a new token in place (`kas token create`);"
            " otherwise delete agentk's Deployment"
        )
        self._receiver.reset()
        self._end_all()

    def _let_go(self) -> None:
        """Do nothing any more of what another installation of kas had confirmed; this one has yet to say anything."""
        log.warning("This is another installation of kas; what the one before had sent is dropped")
        self._end_all()

    def _end_all(self) -> None:
        self._configured = None
        for project_id in list(self._loops):
            self._end(project_id)
        self._reports.forget()

    def _refused(self, snapshot: Snapshot, refusal: Refusal, command_id: str) -> None:
        log.error("A revision was refused", commit_id=snapshot.commit, reason=refusal.reason, why=refusal.message)
        if command_id:
            self.commands.decline(command_id, refusal)
            return
        reason, message = refusal.reason, refusal.message
        self._reports.sync(snapshot, wire.SYNC_STATE_FAILED, reason=reason, message=message)
        self._reports.event(snapshot.project_id, sync_id=snapshot.sync_id, reason=reason, message=message, warning=True)

    def _commanded(self, project_id: int) -> ProjectLoop | Refusal:
        """Return the loop that drives a project, or why none does here."""
        if self._tasks is None:
            return Refusal("NotLeader", "another replica of this agent leads, or none yet")
        found = self._loops.get(project_id)
        return found[0] if found is not None else Refusal("UnknownProject", "the agent does not drive this project")

    def _configure(self, configured: Configured) -> None:
        self._configured = configured
        logs.set_level(configured.log_level)
        log.info("Configuration in force", commit_id=configured.commit, projects=[p.path for p in configured.projects])
        self._stand(configured.agent_id)
        self._start_all()

    def _start_all(self) -> None:
        """Have a loop for each project of the configuration, and for no other, if this replica leads."""
        configured, tasks, guard = self._configured, self._tasks, self._guard
        if configured is None or tasks is None or guard is None or guard.agent_id != configured.agent_id:
            return
        kube = self._kube.guarded_by(guard)
        cluster = self._cluster_of(configured.agent_id, kube, tasks)
        wanted = {settings.project_id: settings for settings in configured.projects}
        for project_id, (loop, _) in list(self._loops.items()):
            settings = wanted.get(project_id)
            if settings is None or _place_of(settings) != _place_of(loop.settings):
                self._end(project_id)
        for project_id, settings in wanted.items():
            if project_id in self._loops:
                self._loops[project_id][0].reconfigure(settings)
            else:
                self._start(kube, cluster, settings, tasks)

    def _end(self, project_id: int) -> None:
        """End a project's loop; the next one of that id or path waits until it has ended."""
        loop, task = self._loops.pop(project_id)
        task.cancel()
        self._ending.append((loop.settings, task))

    def _start(self, kube: KubeClient, cluster: Cluster, settings: ProjectSettings, tasks: asyncio.TaskGroup) -> None:
        loop = ProjectLoop(kube, cluster, settings, self._reports)
        self._ending = [one for one in self._ending if not one[1].done()]
        before = [
            task
            for ending, task in self._ending
            if ending.project_id == settings.project_id or ending.path == settings.path
        ]
        task = tasks.create_task(_run_after(before, loop), name=f"project-{settings.path}")
        self._loops[settings.project_id] = (loop, task)

    def _cluster_of(self, agent_id: int, kube: KubeClient, tasks: asyncio.TaskGroup) -> Cluster:
        if self._cluster is None or self._cluster.agent_id != agent_id:
            objects = Objects(kube)
            executor = Executor(objects, self._discovery, width=kube.limiter.concurrency.ceiling)
            observer = Observer(kube, agent_id, tasks)
            scalers = Autoscalers(kube, self._discovery, tasks)
            served = ServedKinds(kube, self._discovery, tasks)
            self._cluster = Cluster(
                agent_id,
                self._discovery,
                objects,
                observer,
                executor,
                InventoryKey(kube, self._home),
                self._own,
                scalers,
                served,
                holders=self._holders,
                rivals=lambda inventory: Rivals(self._kube, agent_id, home=self._home, inventory=inventory),
                known=self._known,
            )
        return self._cluster

    def _holders(self) -> dict[str, Holder]:
        """Return the projects by the ids of their inventories, those that have yet to begin among them."""
        return {loop.settings.inventory_id: loop for loop, _ in self._loops.values()}

    def _known(self) -> dict[str, Identity]:
        """Return who the projects are, by the ids of their inventories."""
        loops = (loop.settings for loop, _ in self._loops.values())
        return {one.inventory_id: one.identity for one in loops if one.identity is not None}


def _place_of(settings: ProjectSettings) -> tuple[str, Identity | None, str, str]:
    """Return what a loop is made for, and cannot change while it lives.

    That is who the project is, where its inventory is, and who it acts as.
    """
    return (settings.path, settings.identity, settings.inventory_home, settings.impersonate_user)


async def _run_after(before: Sequence[asyncio.Task[None]], loop: ProjectLoop) -> None:
    """Run a loop; earlier ones of the same project, which may still write its inventory, end first."""
    if before:
        await asyncio.wait(before)
    await loop.run()
