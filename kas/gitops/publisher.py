"""Opens a stream for each agent that connects (``agent_stream.py``), and has what all streams share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agentlink import logs
from kas.desired.project_access import NOT_ALLOWED, OWN_GROUP
from kas.gitops.agent_stream import AgentStream
from kas.gitops.bounded import Bounded
from kas.gitops.following import ref_of
from kas.gitops.identify import ReadConfigurations
from kas.gitops.notes import Notes
from kas.gitops.snapshots import Snapshots
from kas.gitops.transfers import Transfers
from kas.rpc.refusals import Refusals
from kas.rush import Rush
from kas.store.records import Actor

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from agentlink.manifests.model import Limits
    from agentlink.v1 import agentlink_pb2 as wire
    from kas.desired.project_access import NotAllowed, ProjectAccess
    from kas.git.mirrors import Mirrors
    from kas.git.refs import GitRef
    from kas.git.watcher import RefState, RefWatcher
    from kas.gitops.commands import LocalCommands
    from kas.gitops.holds import HoldBoard
    from kas.reports.sync_id import SyncIds
    from kas.reports.sync_log import SyncLog
    from kas.rpc.sessions import AgentIdentity
    from kas.store.store import Store

_LOGGED_REFS = 10_000
"""Refs of which it is remembered what was logged last; for more, a line may come twice."""

_NAMED = 20
"""Projects that one line of the audit log names."""

_NOBODY = Actor("", None, "")
"""Who pushed a configuration, Git does not prove."""

log = logs.get_logger("gitops")


class Publisher:
    """Opens the stream of each agent that connects."""

    def __init__(
        self,
        *,
        watcher: RefWatcher,
        mirrors: Mirrors,
        store: Store,
        sync_log: SyncLog,
        sync_ids: SyncIds,
        limits: Limits,
        commands: LocalCommands,
        holds: HoldBoard,
        access: ProjectAccess = OWN_GROUP,
        installation: str = "",
    ) -> None:
        """Open streams.

        ``access`` says which projects configurations may name, ``installation`` is told to every agent.
        """
        self.watcher = watcher
        self.mirrors = mirrors
        self.store = store
        self.sync_log = sync_log
        self.sync_ids = sync_ids
        self.limits = limits
        self.commands = commands
        self.holds = holds
        self.access = access
        self.installation = installation
        self.refusals = Refusals(time.monotonic)
        self.snapshots = Snapshots(mirrors, limits, store.objects.came_from)
        self.configurations = ReadConfigurations()
        self.transfers = Transfers()
        self.rush = Rush()
        self._notes: WeakValueDictionary[int, Notes] = WeakValueDictionary()
        self._logged: Bounded[tuple[str, GitRef], int] = Bounded(_LOGGED_REFS, lambda _: 1)

    def notes_of(self, agent_id: int) -> Notes:
        """Return the notes that all streams of an agent share, for as long as it has any."""
        notes = self._notes.get(agent_id)
        if notes is None:
            notes = self._notes[agent_id] = Notes(agent_id, self.rush)
        return notes

    def open(
        self, identity: AgentIdentity, hello: wire.Hello, tasks: asyncio.TaskGroup, ready: Callable[[], None]
    ) -> AgentStream:
        """Begin an agent's stream, see ``kas.rpc.service.Publisher``."""
        return AgentStream(self, identity, hello, tasks, ready)

    async def note_not_allowed(self, identity: AgentIdentity, refused: Sequence[NotAllowed]) -> None:
        """Note projects that an agent's configuration may not read; news are a line of the audit log, so many a time.

        Raises:
            StoreUnavailable: try again.
        """
        news = [
            one.config.project
            for one in refused
            if await self.sync_log.failed(
                identity, one.config.project, str(ref_of(one.config)), "", NOT_ALLOWED, str(one)
            )
        ]
        if news and self.refusals.take(str(identity.agent_id)):
            named = ", ".join(news[:_NAMED]) + (f" and {len(news) - _NAMED} more" if len(news) > _NAMED else "")
            project = identity.project
            subject = f"{named} for agent {project}:{identity.agent_name} (id {identity.agent_id})"
            reason = "config.yaml names it, and project_access in kas.yaml does not allow that"
            await self.store.audit.refused(_NOBODY, "project.read", project=project, subject=subject, reason=reason)

    def note_known(self, state: RefState) -> None:
        """Log what a ref has come to, once for all agents that follow it."""
        ref = (state.project, state.ref)
        if state.number > (self._logged.get(ref) or 0):
            self._logged.put(ref, state.number)
            log.info("Revision known", project_id=state.project, ref=str(state.ref), commit_id=state.commit)
