"""What kas itself has to say about an agent's revisions: sent, refused, usable again. Stored and told like reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kas.desired.foreign import notice
from kas.reports.event_ids import new_event_id
from kas.reports.feed import EventAdded, Resync, SyncChanged
from kas.reports.sync_id import failure_id_of, warning_id_of
from kas.reports.texts import SENTENCE, WORD, inert
from kas.store.records import CONFIGURATION_REF, EventRecord
from kas.store.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from datetime import datetime

    from kas.desired.foreign import LeftOut
    from kas.reports.feed import Feed
    from kas.reports.sink import Identity
    from kas.store.store import Store
    from kas.store.syncs import Noted

_WARNINGS: Final = 20
"""The most warnings about one configuration that become events; whoever repairs these sees the others next."""

_WARNED: Final = "ConfigurationWarning"

_REF: Final = 1024
"""The most characters of a ref as the store keeps it."""


class Finding(Protocol):
    """One thing that is not as it should be in a configuration."""

    @property
    def key(self) -> str:
        """The path of the key."""

    @property
    def line(self) -> int:
        """Where it is, from 1."""

    @property
    def message(self) -> str:
        """What was found and what was expected."""


class SyncLog:
    """Notes what kas does with revisions. Every method may raise StoreUnavailable."""

    def __init__(self, store: Store, feed: Feed, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def received(
        self,
        identity: Identity,
        project: str,
        ref: str,
        commit: str,
        sync_id: str,
        *,
        objects: int = 0,
        pinned_by: str = "",
        seen_at: datetime | None = None,
    ) -> None:
        """Note that a revision of a manifest project goes to the agent; ``objects`` is how many it has.

        ``pinned_by`` is who chose it, empty where the ref did, and ``seen_at`` when that was found to have it.

        Older ones that have not ended are superseded, and refusals of kas since the same revision are over.
        """
        project_id = await self._store.projects.id_of(project)
        ref = inert(ref, _REF)
        said = f"stays at {commit}, pinned by {pinned_by}" if pinned_by else f"{ref} is at {commit}"
        event = self._event(identity, project_id, "Received", f"{project}: {said}", sync_id=sync_id)
        await self._noted(
            self._store.syncs.received(
                identity.agent_id,
                project_id,
                sync_id=sync_id,
                ref=ref,
                commit=commit,
                total=objects,
                seen_at=seen_at,
                event=event,
            )
        )

    async def failed(  # noqa: PLR0917  # in the order of ``received``: who, what, where, and then why
        self, identity: Identity, project: str, ref: str, commit: str, reason: str, message: str
    ) -> bool:
        """Note that kas cannot use a revision, or with the ref ``configuration`` the configuration.

        Tells whether that is news: the same failure again is none. ``commit`` is empty where there is none: a missing
        ref, a repository that is gone.
        """
        project_id = await self._store.projects.id_of(project)
        ref, reason = inert(ref, _REF), inert(reason, WORD)
        message = inert(message, SENTENCE, lines=True)
        sync_id = failure_id_of(identity.agent_id, project_id, ref, commit, reason)
        event = self._event(identity, project_id, reason, message, warning=True, sync_id=sync_id)
        noted = await self._noted(
            self._store.syncs.failed(
                identity.agent_id,
                project_id,
                sync_id=sync_id,
                ref=ref,
                commit=commit,
                reason=reason,
                message=message,
                event=event,
            )
        )
        return bool(noted.events)

    async def recovered(self, identity: Identity, project: str, ref: str) -> None:
        """Note that what failed under this ref can be used again; no news where nothing had failed."""
        project_id = await self._store.projects.id_of(project)
        configuration = ref == CONFIGURATION_REF
        what = "the configuration" if configuration else inert(ref, _REF)
        event = self._event(identity, project_id, "Recovered", f"{project}: {what} can be used again")
        await self._noted(
            self._store.syncs.recovered(identity.agent_id, project_id, configuration=configuration, event=event)
        )

    async def left(self, identity: Identity, kept: Collection[int]) -> None:
        """Note the ids of the projects in an agent's configuration: those that left it are no longer driven."""
        message = "the project left the agent's configuration; its objects and its inventory stay in the cluster"
        await self._noted(self._store.syncs.left(identity.agent_id, kept, reason="Orphaned", message=message))

    async def warned(
        self, identity: Identity, project: str, commit: str, path: str, findings: Sequence[Finding]
    ) -> None:
        """Note what is odd in a configuration that is used now, or that nothing is; the same again is no news."""
        project_id = await self._store.projects.id_of(project)
        lines = [f"{path}:{finding.line}: {finding.key}: {finding.message}" for finding in findings[:_WARNINGS]]
        await self._noted(
            self._store.syncs.warned(
                identity.agent_id,
                project_id,
                sync_id=failure_id_of(identity.agent_id, project_id, CONFIGURATION_REF, "", _WARNED),
                commit=commit,
                reason=_WARNED,
                message=inert("\n".join(lines), SENTENCE, lines=True),
            )
        )
        for finding, line in zip(findings, lines, strict=False):
            event = self._event(
                identity,
                project_id,
                _WARNED,
                line,
                warning=True,
                event_id=warning_id_of(identity.agent_id, project_id, commit, finding.key, finding.line),
            )
            added = await self._store.events.add(event)
            if added is not None:
                self._feed.publish([EventAdded(added)])

    async def not_manifests(self, identity: Identity, project: str, sync_id: str, left: Sequence[LeftOut]) -> None:
        """Note the files that are left out of a revision, once for an agent as long as they are the same."""
        project_id = await self._store.projects.id_of(project)
        said = notice(left)
        event = self._event(
            identity,
            project_id,
            "FilesLeftOut",
            f"{project}: {said}; what is not meant to be selected is better excluded, with `exclude` beside `glob`",
            sync_id=sync_id,
            event_id=warning_id_of(identity.agent_id, project_id, "", f"left out {len(left)} {said}", 0),
        )
        added = await self._store.events.add(event)
        if added is not None:
            self._feed.publish([EventAdded(added)])

    async def left_out(self, identity: Identity, project: str, sync_id: str, submodules: Sequence[str]) -> None:
        """Note submodules that the globs may mean files of, each once for an agent, whatever revisions follow."""
        project_id = await self._store.projects.id_of(project)
        for path in submodules[:_WARNINGS]:
            event = self._event(
                identity,
                project_id,
                "SubmoduleLeftOut",
                f"{project}: {path} is a submodule, and its files are left out; put them into this repository, "
                "or make the other one a manifest project",
                warning=True,
                sync_id=sync_id,
                event_id=warning_id_of(identity.agent_id, project_id, "", f"submodule {path}", 0),
            )
            added = await self._store.events.add(event)
            if added is not None:
                self._feed.publish([EventAdded(added)])

    async def _noted(self, note: Awaitable[Noted]) -> Noted:
        try:
            noted = await note
        except BaseException:
            self._feed.publish([Resync()])  # as in ReportSink.store
            raise
        self._feed.publish(SyncChanged(sync) for sync in noted.changed)
        self._feed.publish(EventAdded(event) for event in noted.events)
        return noted

    def _event(
        self,
        identity: Identity,
        project_id: int,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        sync_id: str = "",
        event_id: str = "",
    ) -> EventRecord:
        return EventRecord(
            id=event_id or new_event_id(),
            at=self._clock(),
            source="kas",
            type="Warning" if warning else "Normal",
            reason=reason,
            message=inert(message, SENTENCE, lines=True),
            agent_id=identity.agent_id,
            project_id=project_id,
            sync_id=sync_id,
        )
