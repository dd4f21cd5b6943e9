"""One agent's stream: from new revisions to what the agent is to be sent.

It watches the configuration project and every manifest project that the configuration names, makes the snapshots and
offers them to the agent's outbox. What cannot be offered (a missing ref, a broken manifest, a wrong configuration)
becomes a failed sync, which people see; the agent goes on with what it has.

Suspensions and pins (``holds.py``) come before the first configuration and with every change: a suspended project is
never worked on because an agent connected anew. While a project is pinned its ref is still followed, to say what it
could have.

A database that is away does not end a stream: what kas notes waits in ``notes.py``, ids of known projects are at hand,
and what else has to be looked up is waited for.

Thousands of streams are open, and nearly all of them idle: a stream is called when something changes (``follow``), and
has tasks only while it works on that (``newest.py``).
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentlink import logs
from agentlink.capabilities import Capability, able_of
from agentlink.manifests.model import ManifestError
from kas.desired.agent_config import ConfigError
from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH, GitRef
from kas.git.watcher import RefState
from kas.gitops.configuration import configuration_message
from kas.gitops.delta import Offer
from kas.gitops.following import ref_of, selected_by, wanted_of
from kas.gitops.holds import pin_of, suspension_of
from kas.gitops.identify import config_path, read_configuration
from kas.gitops.newest import Newest
from kas.gitops.outbox import Outbox
from kas.gitops.protections import TOO_OLD, withheld
from kas.spawning import spawn
from kas.store.patience import when_available
from kas.store.records import CONFIGURATION_REF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentlink.v1 import agentlink_pb2 as wire
    from kas.desired.agent_config import AgentConfig, ManifestProjectConfig
    from kas.desired.model import Snapshot
    from kas.git.watcher import Following
    from kas.gitops.commands import Delivery, Revision
    from kas.gitops.holds import Following as FollowingHolds
    from kas.gitops.identify import ReadConfiguration
    from kas.gitops.publisher import Publisher
    from kas.rpc.sessions import AgentIdentity
    from kas.store.records import HoldRecord

PINNED_AGAIN_SECONDS = 60.0
"""How long until a pinned commit that cannot be had is looked for again."""

log = logs.get_logger("gitops")


class AgentStream:
    """Everything kas does for one connection of one agent. Nothing of it runs while nothing changes."""

    __slots__ = (
        *("_able", "_config", "_deliveries", "_has", "_held", "_holding", "_identity", "_newest_config", "_notes"),
        *("_outbox", "_publisher", "_sent", "_tasks", "_following", "_following_holds", "_version", "_watches"),
    )

    def __init__(
        self,
        publisher: Publisher,
        identity: AgentIdentity,
        hello: wire.Hello,
        tasks: asyncio.TaskGroup,
        ready: Callable[[], None],
    ) -> None:
        self._publisher = publisher
        self._identity = identity
        self._tasks = tasks
        self._able = able_of(hello.capabilities)
        self._version = hello.meta.version
        self._has = {
            holding.project_id: (holding.commit, bytes(holding.digest))
            for holding in hello.holding
            # An agent that is able to drops what another installation has sent it.
            if Capability.INSTALLATION not in self._able or hello.installation_id == publisher.installation
        }
        self._held: dict[int, Snapshot] = {}
        self._outbox = Outbox(self._held, ready, publisher.transfers)
        self._outbox.greet(publisher.installation)
        self._watches: dict[tuple[ManifestProjectConfig, str], _Watched] = {}
        self._holding: tuple[HoldRecord, ...] = ()
        self._config: tuple[str, AgentConfig, Mapping[str, int], Mapping[str, tuple[str, ...]]] | None = None
        # Ids of the projects that the agent is told of.
        self._sent: frozenset[int] = frozenset()
        self._deliveries: dict[str, asyncio.Task[None] | None] = {}
        self._newest_config = Newest(publisher.rush, tasks, self._configuration_changed)
        self._following: Following | None = None
        self._following_holds: FollowingHolds | None = None
        self._notes = publisher.notes_of(identity.agent_id)
        self._notes.join(tasks)
        publisher.commands.attach(identity.agent_id, self)
        spawn(tasks, self._begin())

    def take(self) -> wire.KasMessage | None:
        """Return the stream's next message, None while there is none."""
        return self._outbox.take()

    def close(self) -> None:
        """Follow nothing any more; to be called before the group of tasks ends."""
        self._publisher.commands.detach(self._identity.agent_id, self)
        self._notes.leave(self._tasks)
        for following in (self._following, self._following_holds):
            if following is not None:
                following.leave()
        for watch in self._watches.values():
            watch.end()

    async def _begin(self) -> None:
        """Follow what people order and, when that is known, the configuration."""
        self._following_holds = await self._publisher.holds.follow(self._identity.agent_id, self._holds_changed)
        follow = self._publisher.watcher.follow
        self._following = follow(self._identity.project, DEFAULT_BRANCH, self._newest_config.put)

    def deliver(self, delivery: Delivery) -> None:
        """Send a command; its snapshot is made first."""
        untold = self._config is not None and delivery.command.project_id not in self._sent
        if delivery.revision is None or untold:
            # An agent that was not told of a project says that it does not drive it, and gets nothing of it.
            self._outbox.order(delivery.command, None)
        else:
            task = spawn(self._tasks, self._deliver(delivery.command, delivery.revision))
            self._deliveries[delivery.command.id] = task

    def withdraw(self, command_id: str) -> None:
        """Send no more of a command."""
        task = self._deliveries.pop(command_id, None)
        if task is not None:
            task.cancel()
        self._outbox.withdraw(command_id)

    async def _deliver(self, command: wire.Command, revision: Revision) -> None:
        try:
            snapshot = await self._publisher.snapshots.make(revision.wanted, revision.commit)
        except (ManifestError, GitError) as error:
            # Who gave the command has made it, too, and said what is wrong with it.
            self._log().warning("A command could not be sent", command_id=command.id, reason=error.reason)
            return
        offer = Offer(command.project_id, "", snapshot, datetime.now(UTC), command.id, revision.wanted.project)
        self._outbox.order(command, offer)

    def _holds_changed(self, holding: tuple[HoldRecord, ...]) -> None:
        self._holding = holding
        if self._config is not None:
            spawn(self._tasks, self._put_in_force())

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
        for warning in read.warnings:
            self._log().warning(
                "Configuration warning", path=path, key=warning.key, line=warning.line, why=warning.message
            )
        sync_log, agents = self._publisher.sync_log, self._publisher.store.agents
        note = functools.partial
        self._notes.add("recovered", note(sync_log.recovered, self._identity, project, CONFIGURATION_REF))
        self._notes.add("warnings", note(sync_log.warned, self._identity, project, commit, path, read.warnings))
        self._notes.add("good configuration", note(agents.set_config_commit, self._identity.agent_id, commit))
        await self._apply_configuration(commit, read)

    async def _read_configuration(self, commit: str) -> ReadConfiguration | None:
        of = self._publisher
        return await read_configuration(
            of.mirrors, self._identity, commit, of.limits, access=of.access, known=of.configurations
        )

    async def _configuration_failed(self, commit: str, reason: str, message: str) -> None:
        """Show the failure; the last good configuration stays in force, over a restart of kas too."""
        self._log().warning("Configuration refused", reason=reason, commit_id=commit, why=message)
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
            await self._apply_configuration(good, read)

    async def _apply_configuration(self, commit: str, read: ReadConfiguration) -> None:
        paths = [project.project for project in (*read.config.projects, *(one.config for one in read.refused))]
        ids_of = self._publisher.store.projects.ids_of
        ids = await when_available(functools.partial(ids_of, paths), what="the ids of projects")
        # Known with the ids: nothing is asked.
        former = await self._publisher.store.projects.former_of(paths)
        kept_ids = set(ids.values())
        self._notes.add("left", functools.partial(self._publisher.sync_log.left, self._identity, kept_ids))
        if read.refused:
            note_not_allowed = functools.partial(self._publisher.note_not_allowed, self._identity, read.refused)
            self._notes.add("projects that may not be read", note_not_allowed)
        self._config = (commit, read.config, ids, former)
        await self._put_in_force()

    async def _put_in_force(self) -> None:
        """Tell the agent its configuration with what holds, and watch each project as both say. Waits for nothing."""
        assert self._config is not None  # noqa: S101 -- whoever calls has one
        commit, config, ids, former = self._config
        config = replace(config, projects=tuple(one for one in config.projects if self._may_be_sent(one, ids)))
        sent = frozenset(ids[project.project] for project in config.projects)
        for project_id in {*self._held, *self._has, *self._sent} - sent:
            # The agent lets it go, and holds nothing of it any more.
            self._outbox.forget(project_id)
            self._has.pop(project_id, None)
        self._sent = sent
        self._outbox.configure(
            configuration_message(
                agent_id=self._identity.agent_id,
                agent_name=self._identity.agent_name,
                configuration_project=self._identity.project,
                commit=commit,
                config=config,
                project_ids=ids,
                holding=self._holding,
                former=former,
            )
        )
        pins = {project: pin_of(ids[project.project], self._holding) for project in config.projects}
        wanted = {(project, pin.commit if pin else ""): pin for project, pin in pins.items()}
        for key in [watched for watched in self._watches if watched not in wanted]:
            self._watches.pop(key).end()
        for (project, commit_id), pin in wanted.items():
            if (project, commit_id) not in self._watches:
                project_id = ids[project.project]
                watched = self._watch(project, project_id) if pin is None else self._stay(project, project_id, pin)
                self._watches[project, commit_id] = watched

    def _may_be_sent(self, config: ManifestProjectConfig, ids: Mapping[str, int]) -> bool:
        """Tell whether the agent holds to what protects a project; note it where it does not."""
        suspension = suspension_of(ids[config.project], self._holding)
        by = None if suspension is None else suspension.by
        why = withheld(config, suspended_by=by, able=self._able, version=self._version)
        if why is not None:
            self._failed(config, ref_of(config), "", TOO_OLD, why)
        return why is None

    def _watch(self, config: ManifestProjectConfig, project_id: int) -> _Watched:
        """Offer each revision of one manifest project."""
        ref = ref_of(config)
        newest = Newest(
            self._publisher.rush, self._tasks, functools.partial(self._revision_changed, config, project_id, ref)
        )
        return _Watched(self._publisher.watcher.follow(config.project, ref, newest.put), newest.drop)

    def _stay(self, config: ManifestProjectConfig, project_id: int, pin: HoldRecord) -> _Watched:
        """Offer the commit that a project is pinned to, and note what its ref would have."""
        ref = ref_of(config)
        staying = spawn(self._tasks, self._offer_pinned(config, project_id, ref, pin))
        follow = self._publisher.watcher.follow
        following = follow(config.project, ref, functools.partial(self._revision_available, pin.id))
        return _Watched(following, staying.cancel if staying is not None else None)

    async def _offer_pinned(self, config: ManifestProjectConfig, project_id: int, ref: GitRef, pin: HoldRecord) -> None:
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

    def _revision_available(self, hold_id: int, state: RefState) -> None:
        if state.commit is not None and state.error is None:
            set_available = self._publisher.store.holds.set_available
            self._notes.add("available", functools.partial(set_available, hold_id, state.commit))

    async def _revision_changed(
        self, config: ManifestProjectConfig, project_id: int, ref: GitRef, state: RefState
    ) -> None:
        if state.error is not None:
            self._failed(config, ref, state.commit or "", state.error.reason, str(state.error))
        elif state.commit is not None:
            self._publisher.note_known(state)
            await self._offer(config, project_id, ref, state)

    async def _offer(
        self, config: ManifestProjectConfig, project_id: int, ref: GitRef, state: RefState, *, pinned_by: str = ""
    ) -> None:
        commit = state.commit or ""
        wanted = wanted_of(config)
        try:
            snapshot = await self._publisher.snapshots.make(wanted, commit)
        except (ManifestError, GitError) as error:
            self._failed(config, ref, commit, error.reason, str(error))
            return
        if project_id not in self._held and (has := self._has.pop(project_id, None)):
            base = await self._publisher.snapshots.base(wanted, *has)
            if base is not None:
                self._held[project_id] = base
        sync_ids = self._publisher.sync_ids
        sync_id = sync_ids.of(self._identity.agent_id, project_id, config.project, commit, snapshot.digest)
        selected = selected_by(config, snapshot)
        offer = Offer(project_id, sync_id, snapshot, state.at, project=config.project, selected_by=selected)
        self._outbox.offer(offer)
        self._log().debug("Revision offered", project_id=config.project, commit_id=commit)
        if not self._notes.overtake(project_id, state.number):
            return
        if snapshot.left_out:
            not_manifests = self._publisher.sync_log.not_manifests
            note = functools.partial(not_manifests, self._identity, config.project, sync_id, snapshot.left_out)
            self._notes.add("what is left out", note)
        if snapshot.submodules:
            left_out = self._publisher.sync_log.left_out
            note = functools.partial(left_out, self._identity, config.project, sync_id, snapshot.submodules)
            self._notes.add("submodules", note)
        objects = snapshot.files.objects
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
        self._log().warning("Revision refused", project_id=config.project, commit_id=commit, reason=reason, why=message)
        self._note_failed(config.project, str(ref), commit, reason, message)

    def _note_failed(self, project: str, ref: str, commit: str, reason: str, message: str) -> None:
        failed = self._publisher.sync_log.failed
        self._notes.add("failed", functools.partial(failed, self._identity, project, ref, commit, reason, message))

    def _log(self) -> logs.Logger:
        """Return a logger that names the agent; made when it is needed, as there are thousands of streams."""
        return log.bind(agent_id=self._identity.agent_id, agent_name=self._identity.agent_name)


class _Watched:
    """A project that a stream follows, and what ends the work for it that is under way."""

    __slots__ = ("_following", "_give_up")

    def __init__(self, following: Following, give_up: Callable[[], object] | None) -> None:
        self._following = following
        self._give_up = give_up

    def end(self) -> None:
        self._following.leave()
        if self._give_up is not None:
            self._give_up()
