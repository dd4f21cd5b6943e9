"""From new revisions to the stream of each connected agent.

For each connected agent one ``AgentStream`` watches the configuration project and every manifest project that the
configuration names, makes the snapshots and offers them to the agent's outbox. What cannot be offered (a missing ref, a
broken manifest, a wrong configuration) becomes a failed sync, which people see; the agent goes on with what it has.

A database that is away does not end a stream: what kas notes waits in ``notes.py``, ids of known projects are at hand,
and what else has to be looked up is waited for.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentlink import logs
from agentlink.manifests.model import ManifestError
from kas.desired.agent_config import ConfigError
from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.gitops.configuration import configuration_message
from kas.gitops.delta import Offer
from kas.gitops.identify import config_path, read_configuration
from kas.gitops.notes import Notes
from kas.gitops.outbox import Outbox
from kas.gitops.snapshots import Snapshots, Wanted
from kas.reports.sync_id import sync_id_of
from kas.store.patience import when_available
from kas.store.records import CONFIGURATION_REF

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentlink.manifests.model import Limits
    from agentlink.v1 import agentlink_pb2 as wire
    from kas.desired.agent_config import AgentConfig, ConfigFinding, ManifestProjectConfig
    from kas.desired.model import Snapshot
    from kas.git.mirror import Mirrors
    from kas.git.watcher import RefState, RefWatcher
    from kas.reports.sync_log import SyncLog
    from kas.rpc.sessions import AgentIdentity
    from kas.store.store import Store

log = logs.get_logger("gitops")


class Publisher:
    """Opens the stream of each agent that connects."""

    def __init__(
        self, *, watcher: RefWatcher, mirrors: Mirrors, store: Store, sync_log: SyncLog, limits: Limits
    ) -> None:
        self.watcher = watcher
        self.mirrors = mirrors
        self.store = store
        self.sync_log = sync_log
        self.limits = limits
        self.snapshots = Snapshots(mirrors, limits)

    @asynccontextmanager
    async def open(self, identity: AgentIdentity, hello: wire.Hello) -> AsyncIterator[AsyncIterator[wire.KasMessage]]:
        """Yield the agent's stream of messages; leaving the context ends all watching for it."""
        stream = AgentStream(self, identity, hello)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(stream.run(), name=f"agent-{identity.agent_id}")
            try:
                yield stream.outbox.messages()
            finally:
                watching.cancel()


class AgentStream:
    """Everything kas does for one connection of one agent."""

    def __init__(self, publisher: Publisher, identity: AgentIdentity, hello: wire.Hello) -> None:
        self._publisher = publisher
        self._identity = identity
        self._holding = {holding.project_id: (holding.commit, bytes(holding.digest)) for holding in hello.holding}
        self._held: dict[int, Snapshot] = {}
        self.outbox = Outbox(self._held)
        self._watches: dict[ManifestProjectConfig, asyncio.Task[None]] = {}
        self._configured = False
        self._notes = Notes(identity.agent_id)
        self._log = log.bind(agent_id=identity.agent_id, agent_name=identity.agent_name)

    async def run(self) -> None:
        """Follow the configuration, for ever."""
        subscription = self._publisher.watcher.subscribe(self._identity.project, DEFAULT_BRANCH)
        async with asyncio.TaskGroup() as tasks, subscription as states:
            tasks.create_task(self._notes.run(), name=f"notes-{self._identity.agent_id}")
            async for state in states:
                await self._configuration_changed(state, tasks)

    async def _configuration_changed(self, state: RefState, tasks: asyncio.TaskGroup) -> None:
        project = self._identity.project
        path = config_path(self._identity.agent_name)
        if state.error is not None:
            await self._configuration_failed(state.commit or "", state.error.reason, str(state.error), tasks)
            return
        commit = state.commit or ""
        try:
            read = await self._read_configuration(commit)
        except ConfigError as error:
            await self._configuration_failed(commit, "InvalidConfiguration", str(error), tasks)
            return
        except GitError as error:
            await self._configuration_failed(commit, error.reason, str(error), tasks)
            return
        if read is None:
            message = f"{path} does not exist in {project} at its default branch; create it to configure this agent"
            await self._configuration_failed(commit, "ConfigurationMissing", message, tasks)
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
        await self._apply_configuration(commit, config, tasks)

    async def _read_configuration(self, commit: str) -> tuple[AgentConfig, tuple[ConfigFinding, ...]] | None:
        return await read_configuration(self._publisher.mirrors, self._identity, commit, self._publisher.limits)

    async def _configuration_failed(self, commit: str, reason: str, message: str, tasks: asyncio.TaskGroup) -> None:
        """Show the failure; the last good configuration stays in force, over a restart of kas too."""
        self._log.warning("Configuration refused", reason=reason, commit_id=commit, why=message)
        project = self._identity.project
        self._note_failed(project, CONFIGURATION_REF, commit, reason, message)
        if self._configured:
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
            await self._apply_configuration(good, read[0], tasks)

    async def _apply_configuration(self, commit: str, config: AgentConfig, tasks: asyncio.TaskGroup) -> None:
        id_of = self._publisher.store.projects.id_of
        ids = {
            project.project: await when_available(functools.partial(id_of, project.project), what="the id of a project")
            for project in config.projects
        }
        self._configured = True
        self.outbox.configure(
            configuration_message(
                agent_id=self._identity.agent_id,
                agent_name=self._identity.agent_name,
                commit=commit,
                config=config,
                project_ids=ids,
            )
        )
        wanted = set(config.projects)
        kept_ids = set(ids.values())
        self._notes.add("left", functools.partial(self._publisher.sync_log.left, self._identity, kept_ids))
        for project, watch in list(self._watches.items()):
            if project not in wanted:
                watch.cancel()
                del self._watches[project]
        for project_id in [held for held in self._held if held not in kept_ids]:
            self.outbox.forget(project_id)
        for project in config.projects:
            if project not in self._watches:
                self._watches[project] = tasks.create_task(
                    self._watch(project, ids[project.project]), name=f"project-{project.project}"
                )

    async def _watch(self, config: ManifestProjectConfig, project_id: int) -> None:
        """Offer each revision of one manifest project."""
        ref = GitRef(RefKind(config.ref.kind), config.ref.name)
        wanted = Wanted(config.project, config.globs, config.default_namespace)
        async with self._publisher.watcher.subscribe(config.project, ref) as states:
            async for state in states:
                if state.error is not None:
                    self._failed(config, ref, state.commit or "", state.error.reason, str(state.error))
                elif state.commit is not None:
                    await self._offer(config, project_id, ref, wanted, state)

    async def _offer(
        self, config: ManifestProjectConfig, project_id: int, ref: GitRef, wanted: Wanted, state: RefState
    ) -> None:
        commit = state.commit or ""
        self._log.info("Revision known", project_id=config.project, ref=str(ref), commit_id=commit)
        try:
            snapshot = await self._publisher.snapshots.make(wanted, commit)
        except (ManifestError, GitError) as error:
            self._failed(config, ref, commit, error.reason, str(error))
            return
        if project_id not in self._held and (holding := self._holding.pop(project_id, None)):
            base = await self._publisher.snapshots.base(wanted, *holding)
            if base is not None:
                self._held[project_id] = base
        sync_id = sync_id_of(self._identity.agent_id, project_id, commit, snapshot.digest)
        self.outbox.offer(Offer(project_id, sync_id, snapshot, state.at))
        objects = sum(len(file.objects) for file in snapshot.files)
        received = self._publisher.sync_log.received
        self._notes.add(
            "received",
            functools.partial(received, self._identity, config.project, str(ref), commit, sync_id, objects=objects),
        )

    def _failed(self, config: ManifestProjectConfig, ref: GitRef, commit: str, reason: str, message: str) -> None:
        self._log.warning("Revision refused", project_id=config.project, commit_id=commit, reason=reason, why=message)
        self._note_failed(config.project, str(ref), commit, reason, message)

    def _note_failed(self, project: str, ref: str, commit: str, reason: str, message: str) -> None:
        failed = self._publisher.sync_log.failed
        self._notes.add("failed", functools.partial(failed, self._identity, project, ref, commit, reason, message))
