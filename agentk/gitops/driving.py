"""One project's attempts to make the cluster what a revision says, and what is done of itself between two revisions.

Owns the sync, when it is tried again, and what is known of its last end. Which revision it is about, and what people
order, is ``project``'s; what is told of it ``standing``'s.

A suspended project is looked at and never written to: its syncs are put off until it is resumed, and drift is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun
from agentk.gitops.drifting import Drifting
from agentk.gitops.health_watch import HealthWatch
from agentk.gitops.outcomes import Outcomes
from agentk.gitops.progress import Progress
from agentk.gitops.retry import RetryClock
from agentk.gitops.sync import ProjectSync
from agentk.gitops.sync_result import SyncResult, has_stripped, note_of, unconfirmed
from agentk.kube.errors import KubeError, NotLeaderError
from agentk.memory import give_back_freed
from agentk.reports.convert import counted
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentk.apply.model import Kind, Outcome, ProjectSettings, Snapshot
    from agentk.apply.rules.rival import Rival
    from agentk.gitops.holders import Held
    from agentk.gitops.standing import Standing
    from agentk.gitops.sync import Cluster
    from agentk.kube.inventory_store import InventoryStore
    from agentlink.refs import ObjectRef

_MANY: Final = 1_000
"""Objects that a sync was about from which on it leaves memory behind that is worth giving back."""

_NOT_SERVED: Final = frozenset({"UnknownKind", "KindNotServed"})
"""Reasons of objects that wait for the cluster to serve their kind."""


class Driving:
    """Syncs one project's revision, again after failures and drift; ``step`` does what falls due."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ProjectSettings,
        store: InventoryStore,
        standing: Standing,
        on_wait: Callable[[], None],
    ) -> None:
        """Begin with no revision; ``on_wait`` is called whenever a sync begins to wait: see ``overlooked``."""
        self._observer, self._discovery, self._served = cluster.observer, cluster.discovery, cluster.served
        self._standing = standing
        self._sync = ProjectSync(cluster, settings, store, on_wait)
        self._health = HealthWatch(cluster.observer, self._sync, standing)
        self._drifting = Drifting(cluster.observer, self._sync, standing)
        self._retry = RetryClock()
        self._changed: dict[ObjectRef, None] = {}
        # Those of them that nobody has looked at, because no sync waited when it happened.
        self._overlooked: dict[ObjectRef, None] = {}
        self._applied = False
        self._unconfirmed: frozenset[ObjectRef] = frozenset()
        self._unsettled: set[ObjectRef] | None = None
        self._awaited: frozenset[tuple[str, str]] = frozenset()
        self._anew = False
        self._strays = ""
        self._rivals = cluster.rivals(settings.inventory_home) if cluster.rivals is not None else None
        self._rival: Rival | None = None

    @property
    def settings(self) -> ProjectSettings:
        """Return the settings that the syncs go by."""
        return self._sync.settings

    @property
    def is_suspended(self) -> bool:
        """Tell whether nothing is to be done for the project."""
        return self.settings.suspension is not None

    @property
    def is_settled(self) -> bool:
        """Tell whether the revision is applied whole, and nothing is to be tried again."""
        return self._applied and not self._retry.pending

    @property
    def unconfirmed(self) -> frozenset[ObjectRef]:
        """Return the objects that wait for somebody to confirm that they are deleted."""
        return self._unconfirmed

    async def held(self) -> Held:
        """Return what the project holds, as ``ProjectSync.held``."""
        return await self._sync.held()

    def body_in_git(self, ref: ObjectRef) -> bytes | None:
        """Return what the revision at hand says of an object, as ``ProjectSync.body_in_git``."""
        return self._sync.body_in_git(ref)

    def go_by(self, settings: ProjectSettings) -> None:
        """Go over to what the configuration now says."""
        self._sync.settings = settings
        self._observer.judge_by(settings.inventory_id, settings.health_rules)
        self._standing.suspend(settings.suspension)

    def interrupt(self, *, stop: bool = False) -> None:
        """End the waits of a sync that is under way, as ``ProjectSync.interrupt``."""
        self._sync.interrupt(stop=stop)

    def notice(self, ref: ObjectRef) -> bool:
        """Take note that something happened to an object; tell whether a sync that waits should make way for it."""
        self._changed[ref] = None
        if not self._sync.waiting:
            self._overlooked[ref] = None
            return False
        # Who would look at it waits itself: what cannot wait is told here, and put back in between.
        self._health.pass_on((ref,))
        return self.is_to_make_way(ref)

    def overlooked(self) -> list[ObjectRef]:
        """Return what a sync that begins to wait should make way for: what happened before, as ``notice`` tells."""
        refs, self._overlooked = self._overlooked, {}
        self._health.pass_on(refs)
        return [ref for ref in refs if self.is_to_make_way(ref)]

    def is_to_make_way(self, ref: ObjectRef) -> bool:
        """Tell whether a sync waits while an object is to be put back."""
        return self._sync.waiting and self._drifting.is_to_put_back(ref)

    def rescale(self, ref: ObjectRef) -> bool:
        """Take in that an object has an autoscaler, or none any more; tell whether that concerns it."""
        return self._sync.rescale(ref)

    @property
    def waits_for_kinds(self) -> bool:
        """Tell whether some kind is to be served before all is well."""
        return bool(self._awaited)

    def kinds_changed(self) -> bool:
        """Take note that the cluster serves something else; tell whether something is to be done for that."""
        if any(self._discovery.find(group, kind, "") is not None for group, kind in self._awaited):
            self._anew = True
        return self._anew

    def resighted(self, kind: Kind) -> bool:
        """Take note that objects of a kind are seen less, or again; tell whether something is to be done for that."""
        key = (kind.group, kind.kind)
        lost = self._health.out_of_sight()
        if lost is not None and lost[1].reason in _NOT_SERVED:
            self._await_kinds(self._awaited | {key})
            self._anew = True
        elif any((ref.group, ref.kind) == key for ref in self._unsettled or ()):
            self._anew = True
        else:
            self.report_health()
        return self._anew

    def _await_kinds(self, kinds: Iterable[tuple[str, str]]) -> None:
        """Have it noticed when these kinds are served, or that of an object which is not any more."""
        lost = self._health.out_of_sight()
        gone = [(lost[0].group, lost[0].kind)] if lost is not None and lost[1].reason in _NOT_SERVED else []
        self._awaited = frozenset((*kinds, *gone))
        if self._awaited and self._served is not None:
            self._served.expect()

    def lose(self, error: KubeError) -> bool:
        """Take note that the API server is away; tell whether that is news."""
        standing = self._standing
        if standing.snapshot is None or self._retry.pending or standing.state == wire.SYNC_STATE_APPLYING:
            return False
        self._failed(error)
        return True

    async def carry_over(self, snapshot: Snapshot) -> None:
        """Go over to a revision that changes nothing of the one at hand."""
        await self.take_selection(snapshot)
        self._standing.carry_over(snapshot)
        self._health.carry_over()
        self.report_health()

    async def take_selection(self, snapshot: Snapshot) -> None:
        """Take note that the revision at hand, if it is applied whole, is what this snapshot selects."""
        if self.is_suspended or not self.is_settled or self._unconfirmed:
            return
        try:
            await self._sync.selected(snapshot)
        except (KubeError, InventoryError) as error:
            self._failed(error)

    async def begin(self, snapshot: Snapshot) -> None:
        """Start on a new revision, or anew on the one at hand by other settings."""
        held = self._standing.snapshot
        self._retry.reset()
        if self.is_suspended and held is not None and held.sync_id == snapshot.sync_id:
            await self._observe(snapshot)
            return
        self._applied = False
        self._standing.begin(snapshot)
        await self.drive(snapshot)

    async def reconcile(self, snapshot: Snapshot) -> None:
        """Sync the revision at hand anew, take nothing for granted, and tell everything again."""
        self._retry.reset()
        if self._rivals is not None:
            self._rivals.forget()
        self._sync.distrust()
        self._health.forget()
        self._unsettled = None
        self._standing.begin(snapshot)
        await self.drive(snapshot)

    async def prune(self, snapshot: Snapshot, confirmed: frozenset[ObjectRef]) -> None:
        """Sync the revision at hand, and delete these objects, if no others wait for that."""
        self._retry.reset()
        await self.drive(snapshot, confirmed)

    @property
    def remaining(self) -> float | None:
        """Return the seconds until ``step`` has something to do, None when nothing is due by the clock."""
        if self._changed or self._anew:
            return 0.0
        waits = (self._retry.remaining, self._health.remaining, self._drifting.remaining)
        return min((wait for wait in waits if wait is not None), default=None)

    async def step(self, snapshot: Snapshot) -> bool:
        """Do the one thing that comes next; False: there is none now."""
        if self._anew or self._retry.due:
            await self.drive(snapshot)
        elif self._changed:
            changed, self._changed = self._changed, {}
            self._overlooked.clear()
            await self._react(changed)
        elif self._health.overdue:
            self.report_health()
        elif due := self._drifting.due():
            self._changed.update(dict.fromkeys(due))
        else:
            return False
        return True

    async def drive(self, snapshot: Snapshot, confirmed: frozenset[ObjectRef] = frozenset()) -> None:
        """Sync a revision, for the first time or again after a failure."""
        self._anew = False
        if self.is_suspended:
            await self._observe(snapshot)
            return
        if await self._is_beside_a_rival():
            return
        standing = self._standing
        if not self._retry.pending:
            standing.tell(wire.SYNC_STATE_APPLYING)
        standing.enter(wire.SYNC_STATE_APPLYING)
        progress = Progress(standing.reports, self._sync, snapshot, self._unsettled, quiet=self._retry.pending)
        try:
            result = await self._sync.run(snapshot, progress.note, confirmed=confirmed)
        except (KubeError, InventoryError) as error:
            progress.finish()
            self._failed(error)
            return
        self._unsettled = progress.finish()
        self._unconfirmed = unconfirmed(result.outcomes.said)
        self._applied = not result.failed and not result.superseded
        self._await_kinds(_kinds_of(result.outcomes.said))
        standing.counts = counted(result.outcomes.results, untouched=result.untouched)
        self._drifting.noticed(result.outcomes.said)
        self._tell_of_strays()
        await standing.log_outcomes(result.outcomes)
        standing.tell_pruning(result)
        note = None
        if result.superseded:
            # What is newer is at hand and comes next; the run only counts if that turns out to change nothing.
            self._retry.soon()
            return
        if result.failed:
            self._retry.later()
            standing.tell_failure(result)
        else:
            # What came into sight meanwhile has been looked at.
            self._anew = False
            self._retry.reset()
            standing.log.info("Cluster successfully synced", objects=standing.counts.total)
            note = note_of(self.settings, result, self._sync.strays)
            standing.tell(wire.SYNC_STATE_APPLIED, *note)
        self._health.watch(result, note)
        self.report_health()
        if len(result.outcomes) >= _MANY:
            give_back_freed()

    async def _is_beside_a_rival(self) -> bool:
        """Tell whether nothing may be written because GitLab's agentk writes the same; say so where it is news."""
        if self._rivals is None or self.settings.dry_run is not DryRun.NONE:
            return False
        try:
            rival = await self._rivals.at_work()
        except KubeError as error:
            self._failed(error)
            return True
        before, self._rival = self._rival, rival
        if rival is None:
            return False
        if rival.certain:
            self._put_off(rival.why.reason, rival.why.message)
        elif rival != before:
            self._standing.log.warning("GitLab's agentk may be at work", why=rival.why.message)
            self._standing.event(rival.why.reason, rival.why.message, warning=True)
        return rival.certain

    def _tell_of_strays(self) -> None:
        """Say once of which ConfigMaps that look like the inventory nothing comes."""
        strays, before, self._strays = self._sync.strays, self._strays, self._sync.strays
        if strays and strays != before:
            self._standing.log.warning("ConfigMaps look like the inventory and have no effect", why=strays)
            self._standing.event("InventoryElsewhere", strays, warning=True)

    async def _observe(self, snapshot: Snapshot) -> None:
        """Look at the project's objects, and do nothing about them, while it is suspended."""
        recovering = self._retry.pending
        try:
            await self._sync.observe(snapshot)
        except (KubeError, InventoryError) as error:
            self._failed(error)
            return
        self._retry.reset()
        refused = self._sync.refused
        self._await_kinds(_kinds_of(refused))
        if refused and self._applied:
            # What was applied once, and the cluster does not serve any more.
            self._standing.tell_failure(SyncResult(Outcomes(refused)))
            return
        if not self._applied and self._sync.is_applied:
            self._applied = True
            self._standing.enter(wire.SYNC_STATE_APPLIED)
        elif not self._applied and (recovering or self._standing.state == wire.SYNC_STATE_APPLYING):
            self._standing.tell(wire.SYNC_STATE_RECEIVED)
        self._health.watch(SyncResult(), None)
        self.report_health()

    def _failed(self, error: KubeError | InventoryError) -> None:
        """Report that the cluster could not be asked; try again soon, or when the server says so."""
        self._sync.doubt()
        if isinstance(error, NotLeaderError):
            raise error
        self._tell_put_off(self._retry.after(error), str(error))

    def _put_off(self, reason: str, message: str) -> None:
        """Report that nothing can be done now for what lies outside the project; look again soon."""
        self._sync.doubt()
        self._retry.soon()
        self._tell_put_off(reason, message)

    def _tell_put_off(self, reason: str, message: str) -> None:
        self._standing.log.warning("Sync failed", reason=reason, why=message, retry_in=self._retry.remaining)
        self._standing.tell(wire.SYNC_STATE_FAILED, reason, message)
        self._changed.clear()
        self._overlooked.clear()

    async def _react(self, changed: Iterable[ObjectRef]) -> None:
        """Look at objects that something happened to: put drift back, pass their health on."""
        if await self._is_beside_a_rival():
            return
        live = self._observer.live
        vanished = {ref for ref in changed if live.get(ref) is None}
        try:
            await self._sync.note_ends()
            result = await self._drifting.react(changed)
        except (KubeError, InventoryError) as error:
            self._failed(error)
        else:
            if result is not None and result.failed:
                self._retry.later()
                await self._standing.log_outcomes(result.outcomes)
                self._standing.tell_failure(result)
            if result is not None and self._rivals is not None and has_stripped(result, vanished):
                self._rivals.doubt()
                await self._is_beside_a_rival()
        self._health.pass_on(changed)
        self.report_health()

    def report_health(self) -> None:
        """Tell how the revision fares, unless it has not been applied whole."""
        if self.is_settled and (given_up := self._drifting.given_up):
            self._standing.tell(wire.SYNC_STATE_FAILED, "DriftGivenUp", given_up)
        elif self.is_settled:
            self._health.report()


def _kinds_of(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, str]]:
    """Yield the kinds that objects wait for, each as (group, kind)."""
    return ((one.ref.group, one.ref.kind) for one in outcomes if one.reason in _NOT_SERVED)
