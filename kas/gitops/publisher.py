"""From new revisions to the stream of each connected agent.

For each connected agent one ``AgentStream`` watches the configuration project and every manifest project that the
configuration names, makes the snapshots and offers them to the agent's outbox. What cannot be offered (a missing ref, a
broken manifest, a wrong configuration) becomes a failed sync, which people see; the agent goes on with what it has.

Suspensions and pins (``holds.py``) come before the first configuration and with every change: a suspended project is
never worked on because an agent connected anew. While a project is pinned its ref is still followed, to say what it
could have.

A database that is away does not end a stream: what kas notes waits in ``notes.py``, ids of known projects are at hand,
and what else has to be looked up is waited for.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agentlink import logs
from agentlink.manifests.model import ManifestError
from kas.desired.agent_config import ConfigError
from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.watcher import RefState
from kas.gitops.configuration import configuration_message
from kas.gitops.delta import Offer
from kas.gitops.holds import pin_of
from kas.gitops.identify import ReadConfigurations, config_path, read_configuration
from kas.gitops.notes import Notes
from kas.gitops.outbox import Outbox
from kas.gitops.snapshots import Snapshots, Wanted
from kas.reports.sync_id import sync_id_of
from kas.store.patience import when_available
from kas.store.records import CONFIGURATION_REF

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentlink.manifests.model import Limits
    from agentlink.v1 import agentlink_pb2 as wire
    from kas.desired.agent_config import AgentConfig, ConfigFinding, ManifestProjectConfig
    from kas.desired.model import Snapshot
    from kas.git.mirrors import Mirrors
    from kas.git.watcher import RefWatcher
    from kas.gitops.commands import Delivery, LocalCommands, Revision
    from kas.gitops.holds import HoldBoard
    from kas.reports.sync_log import SyncLog
    from kas.rpc.sessions import AgentIdentity
    from kas.store.records import HoldRecord
    from kas.store.store import Store

PINNED_AGAIN_SECONDS = 60.0
"""How long until a pinned commit that cannot be had is looked for again."""

log = logs.get_logger("gitops")


def ref_of(config: ManifestProjectConfig) -> GitRef:
    """Return what a project of a configuration follows."""
    return GitRef(RefKind(config.ref.kind), config.ref.name)


def wanted_of(config: ManifestProjectConfig) -> Wanted:
    """Return what a project of a configuration selects."""
    return Wanted(config.project, config.globs, config.default_namespace)


class Publisher:
    """Opens the stream of each agent that connects."""

    def __init__(
        self,
        *,
        watcher: RefWatcher,
        mirrors: Mirrors,
        store: Store,
        sync_log: SyncLog,
        limits: Limits,
        commands: LocalCommands,
        holds: HoldBoard,
    ) -> None:
        self.watcher = watcher
        self.mirrors = mirrors
        self.store = store
        self.sync_log = sync_log
        self.limits = limits
        self.commands = commands
        self.holds = holds
        self.snapshots = Snapshots(mirrors, limits)
        self.configurations = ReadConfigurations()
        self._notes: WeakValueDictionary[int, Notes] = WeakValueDictionary()

    def notes_of(self, agent_id: int) -> Notes:
        """Return the notes that all streams of an agent share, for as long as it has any."""
        notes = self._notes.get(agent_id)
        if notes is None:
            notes = self._notes[agent_id] = Notes(agent_id)
        return notes

    @asynccontextmanager
    async def open(self, identity: AgentIdentity, hello: wire.Hello) -> AsyncIterator[AsyncIterator[wire.KasMessage]]:
        """Yield the agent's stream of messages; leaving the context ends all watching for it."""
        stream = AgentStream(self, identity, hello)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(stream.run(), name=f"agent-{identity.agent_id}")
            try:
                with self.commands.attach(identity.agent_id, stream):
                    yield stream.outbox.messages()
            finally:
                watching.cancel()


class AgentStream:
    """Everything kas does for one connection of one agent."""

    def __init__(self, publisher: Publisher, identity: AgentIdentity, hello: wire.Hello) -> None:
        self._publisher = publisher
        self._identity = identity
        self._has = {holding.project_id: (holding.commit, bytes(holding.digest)) for holding in hello.holding}
        self._held: dict[int, Snapshot] = {}
        self.outbox = Outbox(self._held)
        self._watches: dict[tuple[ManifestProjectConfig, str], asyncio.Task[None]] = {}
        self._holding: tuple[HoldRecord, ...] = ()
        self._config: tuple[str, AgentConfig, Mapping[str, int]] | None = None
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._notes = publisher.notes_of(identity.agent_id)
        self._log = log.bind(agent_id=identity.agent_id, agent_name=identity.agent_name)

    async def run(self) -> None:
        """Follow the configuration, for ever."""
        subscription = self._publisher.watcher.subscribe(self._identity.project, DEFAULT_BRANCH)
        async with (
            subscription as states,
            aclosing(self._publisher.holds.follow(self._identity.agent_id)) as holds,
            asyncio.TaskGroup() as tasks,  # ends first: nothing can be closed while a task reads it
        ):
            self._tasks = tasks
            tasks.create_task(self._notes.run(), name=f"notes-{self._identity.agent_id}")
            self._holding = await anext(holds)
            tasks.create_task(self._follow_holds(holds), name=f"holds-{self._identity.agent_id}")
            async for state in states:
                await self._configuration_changed(state)

    def deliver(self, delivery: Delivery) -> None:
        """Send a command; its snapshot is made first."""
        if delivery.revision is None:
            self.outbox.order(delivery.command, None)
        elif self._tasks is not None:
            task = self._tasks.create_task(self._deliver(delivery.command, delivery.revision))
            self._deliveries[delivery.command.id] = task

    def withdraw(self, command_id: str) -> None:
        """Send no more of a command."""
        task = self._deliveries.pop(command_id, None)
        if task is not None:
            task.cancel()
        self.outbox.withdraw(command_id)

    async def _deliver(self, command: wire.Command, revision: Revision) -> None:
        try:
            snapshot = await self._publisher.snapshots.make(revision.wanted, revision.commit)
        except (ManifestError, GitError) as error:
            # Who gave the command has made it, too, and said what is wrong with it.
            self._log.warning("A command could not be sent", command_id=command.id, reason=error.reason)
            return
        self.outbox.order(command, Offer(command.project_id, "", snapshot, datetime.now(UTC), command.id))

    async def _follow_holds(self, holds: AsyncIterator[tuple[HoldRecord, ...]]) -> None:
        async for holding in holds:
            self._holding = holding
            if self._config is not None:
                self._put_in_force(*self._config)

    async def _configuration_changed(self, state: RefState) -> None:
        project = self._identity.project
        path = config_path(self._identity.agent_name)
        if state.error is not None:
            await self._configuration_failed(state.commit or "", state.error.reason, str(state.error))
            return
        commit = state.commit or ""
        try:
            read = await self._read_configuration(commit)
        except ConfigError as error:
            await self._configuration_failed(commit, "InvalidConfiguration", str(error))
            return
        except GitError as error:
            await self._configuration_failed(commit, error.reason, str(error))
            return
        if read is None:
            message = f"{path} does not exist in {project} at its default branch; create it to configure this agent"
            await self._configuration_failed(commit, "ConfigurationMissing", message)
            return
        config, warnings = read
        for warning in warnings:
            self._log.warning(
                "Configuration warning", path=path, key=warning.key, line=warning.line, why=warning.message
            )
        sync_log, agents = self._publisher.sync_log, self._publisher.store.agents
        note = functools.partial
        self._notes.add("recovered", note(sync_log.recovered, self._identity, project, CONFIGURATION_REF))
        self._notes.add("warnings", note(sync_log.warned, self._identity, project, commit, path, warnings))
        self._notes.add("good configuration", note(agents.set_config_commit, self._identity.agent_id, commit))
        await self._apply_configuration(commit, config)

    async def _read_configuration(self, commit: str) -> tuple[AgentConfig, tuple[ConfigFinding, ...]] | None:
        publisher = self._publisher
        return await read_configuration(
            publisher.mirrors, self._identity, commit, publisher.limits, publisher.configurations
        )

    async def _configuration_failed(self, commit: str, reason: str, message: str) -> None:
        """Show the failure; the last good configuration stays in force, over a restart of kas too."""
        self._log.warning("Configuration refused", reason=reason, commit_id=commit, why=message)
        project = self._identity.project
        self._note_failed(project, CONFIGURATION_REF, commit, reason, message)
        if self._config is not None:
            return
        agents = self._publisher.store.agents
        good = await when_available(
            lambda: agents.config_commit(self._identity.agent_id), what="the last good configuration"
        )
        if not good or not await self._publisher.mirrors.mirror(project).has(good):
            return
        try:
            read = await self._read_configuration(good)
        except (ConfigError, GitError):
            return
        if read is not None:
            await self._apply_configuration(good, read[0])

    async def _apply_configuration(self, commit: str, config: AgentConfig) -> None:
        id_of = self._publisher.store.projects.id_of
        ids = {
            project.project: await when_available(functools.partial(id_of, project.project), what="the id of a project")
            for project in config.projects
        }
        kept_ids = set(ids.values())
        self._notes.add("left", functools.partial(self._publisher.sync_log.left, self._identity, kept_ids))
        for project_id in [held for held in self._held if held not in kept_ids]:
            self.outbox.forget(project_id)
        self._config = (commit, config, ids)
        self._put_in_force(*self._config)

    def _put_in_force(self, commit: str, config: AgentConfig, ids: Mapping[str, int]) -> None:
        """Tell the agent its configuration with what holds, and watch each project as both say. Waits for nothing."""
        assert self._tasks is not None  # noqa: S101 -- only the running stream gets here
        self.outbox.configure(
            configuration_message(
                agent_id=self._identity.agent_id,
                agent_name=self._identity.agent_name,
                commit=commit,
                config=config,
                project_ids=ids,
                holding=self._holding,
            )
        )
        pins = {project: pin_of(ids[project.project], self._holding) for project in config.projects}
        wanted = {(project, pin.commit if pin else ""): pin for project, pin in pins.items()}
        for key, watch in list(self._watches.items()):
            if key not in wanted:
                watch.cancel()
                del self._watches[key]
        for (project, commit_id), pin in wanted.items():
            if (project, commit_id) not in self._watches:
                project_id = ids[project.project]
                following = self._watch(project, project_id) if pin is None else self._stay(project, project_id, pin)
                task = self._tasks.create_task(following, name=f"project-{project.project}")
                self._watches[project, commit_id] = task

    async def _stay(self, config: ManifestProjectConfig, project_id: int, pin: HoldRecord) -> None:
        """Offer the commit that a project is pinned to, and note what its ref would have."""
        ref = ref_of(config)
        while True:
            try:
                await self._publisher.mirrors.mirror(config.project).keep(pin.commit)
            except GitError as error:
                # The mirror was lost, and the server has dropped the commit since: the agent goes on with what it has.
                self._failed(config, ref, pin.commit, error.reason, f"pinned to {pin.commit}: {error}")
                await asyncio.sleep(PINNED_AGAIN_SECONDS)
            else:
                break
        state = RefState(config.project, ref, pin.commit, None, datetime.now(UTC))
        await self._offer(config, project_id, ref, state, pinned_by=pin.by)
        set_available = self._publisher.store.holds.set_available
        async with self._publisher.watcher.subscribe(config.project, ref) as states:
            async for state in states:
                if state.commit is not None and state.error is None:
                    self._notes.add("available", functools.partial(set_available, pin.id, state.commit))

    async def _watch(self, config: ManifestProjectConfig, project_id: int) -> None:
        """Offer each revision of one manifest project."""
        ref = ref_of(config)
        async with self._publisher.watcher.subscribe(config.project, ref) as states:
            async for state in states:
                if state.error is not None:
                    self._failed(config, ref, state.commit or "", state.error.reason, str(state.error))
                elif state.commit is not None:
                    await self._offer(config, project_id, ref, state)

    async def _offer(
        self, config: ManifestProjectConfig, project_id: int, ref: GitRef, state: RefState, *, pinned_by: str = ""
    ) -> None:
        commit = state.commit or ""
        wanted = wanted_of(config)
        self._log.info("Revision known", project_id=config.project, ref=str(ref), commit_id=commit)
        try:
            snapshot = await self._publisher.snapshots.make(wanted, commit)
        except (ManifestError, GitError) as error:
            self._failed(config, ref, commit, error.reason, str(error))
            return
        if project_id not in self._held and (has := self._has.pop(project_id, None)):
            base = await self._publisher.snapshots.base(wanted, *has)
            if base is not None:
                self._held[project_id] = base
        sync_id = sync_id_of(self._identity.agent_id, project_id, commit, snapshot.digest)
        self.outbox.offer(Offer(project_id, sync_id, snapshot, state.at))
        self._log.debug("Revision offered", project_id=config.project, commit_id=commit)
        if not self._notes.overtake(project_id, state.number):
            return
        if snapshot.submodules:
            left_out = self._publisher.sync_log.left_out
            note = functools.partial(left_out, self._identity, config.project, sync_id, snapshot.submodules)
            self._notes.add("submodules", note)
        objects = sum(len(file.objects) for file in snapshot.files)
        received = self._publisher.sync_log.received
        self._notes.add(
            "received",
            lambda: received(
                self._identity,
                config.project,
                str(ref),
                commit,
                sync_id,
                objects=objects,
                pinned_by=pinned_by,
                seen_at=None if pinned_by else state.at,
            ),
        )

    def _failed(self, config: ManifestProjectConfig, ref: GitRef, commit: str, reason: str, message: str) -> None:
        self._log.warning("Revision refused", project_id=config.project, commit_id=commit, reason=reason, why=message)
        self._note_failed(config.project, str(ref), commit, reason, message)

    def _note_failed(self, project: str, ref: str, commit: str, reason: str, message: str) -> None:
        failed = self._publisher.sync_log.failed
        self._notes.add("failed", functools.partial(failed, self._identity, project, ref, commit, reason, message))
