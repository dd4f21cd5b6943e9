"""The loop of one manifest project: newest snapshot first, then retries, then drift; and its health all along.

One task a project, so that projects never wait for each other's syncs. Here is what comes next; what is told of it is
in ``standing.py``, how the objects fare in ``health_watch.py``, what others change in ``drifting.py``.

A suspended project is looked at and never written to: its syncs are put off until it is resumed, and drift is told.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun, Refusal, Result
from agentk.gitops.drifting import Drifting
from agentk.gitops.foreseeing import foresee
from agentk.gitops.health_watch import HealthWatch
from agentk.gitops.orders import Order, Orders, OtherPrune
from agentk.gitops.progress import Progress
from agentk.gitops.retry import RetryClock
from agentk.gitops.standing import Standing
from agentk.gitops.sync import ProjectSync
from agentk.gitops.sync_result import SyncResult, unconfirmed
from agentk.kube.errors import KubeError, NotLeaderError
from agentk.kube.events import EventRecorder
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.objects import Objects
from agentk.reports.convert import count
from agentlink.refs import digest_of
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from agentk.apply.model import ProjectSettings, Snapshot
    from agentk.gitops.announcing import Announcement
    from agentk.gitops.sync import Cluster
    from agentk.kube.client import KubeClient
    from agentk.reports.queue import ReportQueue
    from agentlink.refs import ObjectRef


CONFIRMED_SECONDS = 10.0
"""How long who confirmed a prune waits for its end; objects with finalizers may take longer than anybody waits."""

_SUSPENDED = Refusal("Suspended", "nothing is done for a suspended project; resume it first")
_INTERRUPTED = Refusal("Interrupted", "the project is not driven here any more; try again")

_OWN_ANSWER_SECONDS = 0.2
"""How long what a watch tells may be ahead of the answer to our own request for it."""


class ProjectLoop:
    """Drives one project, from ``run`` until cancelled."""

    def __init__(self, kube: KubeClient, cluster: Cluster, settings: ProjectSettings, reports: ReportQueue) -> None:
        kube = kube.in_lane(settings.inventory_id)
        self._events = EventRecorder(kube, refused=cluster.events_refused)
        if settings.impersonate_user:
            kube = kube.impersonating(settings.impersonate_user)
        objects = Objects(kube)
        cluster = replace(cluster, objects=objects, executor=cluster.executor.acting_on(objects))
        store = self._store = InventoryStore(kube, settings.inventory_id, namespace=settings.default_namespace)
        self._kube, self._cluster = kube, cluster
        self._observer, self._autoscalers = cluster.observer, cluster.autoscalers
        self._settings = settings
        self._sync = ProjectSync(cluster, settings, store)
        self._standing = Standing(reports, settings, self._announce)
        self._health = HealthWatch(cluster.observer, self._sync, self._standing)
        self._drifting = Drifting(cluster.observer, self._sync, self._standing)
        self._retry = RetryClock()
        self._waiting: Snapshot | None = None
        self._orders = Orders()
        self._applied = False
        self._unconfirmed: frozenset[ObjectRef] = frozenset()
        self._changed: dict[ObjectRef, None] = {}
        self._unsettled: set[ObjectRef] | None = None
        self._wake = asyncio.Event()

    @property
    def settings(self) -> ProjectSettings:
        """Return what the configuration says about this project."""
        return self._settings

    def offer(self, snapshot: Snapshot) -> None:
        """Take a newer snapshot; one that still waits is superseded by it, as are the waits of the one at hand."""
        self._waiting = snapshot
        held = self._standing.snapshot
        if held is not None and held.sync_id != snapshot.sync_id:
            self._sync.interrupt()
        self._wake.set()

    def reconfigure(self, settings: ProjectSettings) -> None:
        """Take what the configuration now says; the newest snapshot is synced anew if that changed anything."""
        if settings != self.settings:
            self._settings = settings
            self._sync.interrupt(stop=settings.suspension is not None)
            self._wake.set()

    async def reconcile(self) -> Refusal | None:
        """Sync the newest revision anew, taking nothing for granted; return when that has begun, or why it has not.

        Everything is told anew as well, which kas may have lost.
        """
        return await self._order(Order())

    async def confirm_prune(self, digest: bytes) -> Refusal | None:
        """Carry out the prune that waits, if it is of the objects with this digest; return when it is over, or why not.

        Of a prune that takes its time this only says that it has begun.
        """
        waiting = self._unconfirmed
        if digest_of(waiting) != digest or not waiting:
            return OtherPrune.of(waiting)
        order = Order(waiting)
        try:
            async with asyncio.timeout(CONFIRMED_SECONDS):
                return await self._order(order)
        except TimeoutError:
            return None

    def diff(self, snapshot: Snapshot) -> AsyncGenerator[wire.ObjectDiff, None]:
        """Tell what a revision would change."""
        return foresee(self._kube, self._cluster, self._settings, snapshot)

    async def _order(self, order: Order) -> Refusal | None:
        if self._standing.snapshot is None and self._waiting is None:
            return Refusal("NothingReceived", "no revision of the project has arrived yet; `kas get syncs` says why")
        if self._settings.suspension is not None:
            return _SUSPENDED
        self._orders.add(order)
        self._sync.interrupt()
        self._wake.set()
        return await asyncio.shield(order.answer)

    def observed(self, ref: ObjectRef) -> None:
        """Take note that something happened to one of the project's objects."""
        self._changed[ref] = None
        if self._sync.waiting:
            # The loop itself waits: what cannot wait is told here, and put back in between.
            self._health.pass_on((ref,))
            if self._drifting.is_to_put_back(ref):
                asyncio.get_running_loop().call_later(_OWN_ANSWER_SECONDS, self._make_way, ref)
        self._wake.set()

    def _make_way(self, ref: ObjectRef) -> None:
        """Interrupt a sync that waits, to put an object back that is still not as it was applied."""
        if self._sync.waiting and self._drifting.is_to_put_back(ref):
            self._sync.interrupt()

    def scaled(self, ref: ObjectRef) -> None:
        """Take note that an object has an autoscaler from now on, or none any more."""
        if self._sync.rescale(ref):
            self.observed(ref)

    def blinded(self) -> None:
        """Say where the project stands anew: some of its objects' changes may go unseen."""
        self._report_health()

    def unreachable(self, error: KubeError) -> None:
        """Say that nobody knows how the project is now; everything is looked at anew when the API server is back."""
        standing = self._standing
        if standing.snapshot is not None and not self._retry.pending and standing.state != wire.SYNC_STATE_APPLYING:
            self._failed(error)
            self._wake.set()

    async def run(self) -> None:
        """Work for as long as this replica leads."""
        self._observer.register(self.settings.inventory_id, self)
        if self._autoscalers is not None:
            self._autoscalers.register(self)
        try:
            async with self._events.running():
                await self._work()
        finally:
            self._orders.refuse_all(_INTERRUPTED)
            self._observer.unregister(self.settings.inventory_id)
            if self._autoscalers is not None:
                self._autoscalers.unregister(self)

    async def _work(self) -> None:
        try:
            while True:
                await self._turn()
        except NotLeaderError:
            self._standing.log.info("Left to the replica that leads")

    def _announce(self, one: Announcement) -> None:
        self._events.note(one.reason, one.message, self._store.head, warning=one.warning)

    async def _turn(self) -> None:
        """Do the one thing that comes next; sleep when there is none."""
        held = self._standing.snapshot
        if self._waiting is not None:
            snapshot, self._waiting = self._waiting, None
            await self._take(snapshot)
        elif held is None:
            await self._sleep()
        elif self._sync.settings != self._settings:
            await self._begin(held)
        elif self._orders:
            await self._obey(self._orders.take(), held)
        elif self._retry.due:
            await self._drive(held)
        elif self._changed:
            changed, self._changed = self._changed, {}
            await self._react(changed)
        elif self._health.overdue:
            self._report_health()
        elif due := self._drifting.due():
            self._changed.update(dict.fromkeys(due))
        else:
            await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until something happens or falls due."""
        self._wake.clear()
        if self._has_work:
            return
        waits = (self._retry.remaining, self._health.remaining, self._drifting.remaining)
        pauses = [wait for wait in waits if wait is not None]
        try:
            async with asyncio.timeout(min(pauses) if pauses else None):
                await self._wake.wait()
        except TimeoutError:
            pass

    @property
    def _has_work(self) -> bool:
        if self._waiting is not None:
            return True
        held = self._standing.snapshot is not None
        return held and (bool(self._changed) or bool(self._orders) or self._sync.settings != self._settings)

    def _is_held(self, snapshot: Snapshot) -> bool:
        """Tell whether this is the revision at hand, offered again after a reconnect: nothing is to be done."""
        held = self._standing.snapshot
        return held is not None and held.sync_id == snapshot.sync_id and self._sync.settings == self._settings

    async def _take(self, snapshot: Snapshot) -> None:
        """Go over to the newest revision, with as much work as it differs."""
        if self._is_held(snapshot):
            self._standing.tell_again()
        elif self._changes_nothing(snapshot):
            self._standing.carry_over(snapshot)
            self._health.carry_over()
            self._report_health()
        else:
            await self._begin(snapshot)

    def _changes_nothing(self, snapshot: Snapshot) -> bool:
        """Tell whether a new revision has the files of the one at hand, which is applied whole: nothing is asked."""
        held = self._standing.snapshot
        return (
            held is not None
            and held.digest == snapshot.digest
            and self._applied
            and not self._retry.pending
            and not self._is_suspended
            and self._sync.settings == self._settings
            and self._settings.dry_run is DryRun.NONE
        )

    async def _begin(self, snapshot: Snapshot) -> None:
        """Start on a new revision, or anew on this one by other settings."""
        held = self._standing.snapshot
        self._go_by_settings()
        self._retry.reset()
        if self._is_suspended and held is not None and held.sync_id == snapshot.sync_id:
            await self._observe(snapshot)
            return
        self._applied = False
        self._standing.begin(snapshot)
        await self._drive(snapshot)

    def _go_by_settings(self) -> None:
        """Go over to what the configuration now says."""
        settings = self._sync.settings = self._settings
        self._observer.judge_by(settings.inventory_id, settings.health_rules)
        self._standing.suspend(settings.suspension)

    @property
    def _is_suspended(self) -> bool:
        return self._sync.settings.suspension is not None

    async def _obey(self, order: Order, held: Snapshot) -> None:
        """Do what somebody ordered, unless things have changed since."""
        try:
            if self._is_suspended:
                order.settle(_SUSPENDED)
                return
            self._retry.reset()
            if order.confirmed is None:
                order.settle()
                self._sync.distrust()
                self._health.forget()
                self._unsettled = None
                self._standing.begin(held)
                await self._drive(held)
            else:
                await self._drive(held, order.confirmed)
                order.settle(OtherPrune.of(self._unconfirmed) if self._unconfirmed else None)
        finally:
            order.settle(_INTERRUPTED)

    async def _observe(self, snapshot: Snapshot) -> None:
        """Look at the project's objects, and do nothing about them, while it is suspended."""
        recovering = self._retry.pending
        try:
            await self._sync.observe(snapshot)
        except (KubeError, InventoryError) as error:
            self._failed(error)
            return
        self._retry.reset()
        if not self._applied and self._sync.is_applied:
            self._applied = True
            self._standing.enter(wire.SYNC_STATE_APPLIED)
        elif not self._applied and (recovering or self._standing.state == wire.SYNC_STATE_APPLYING):
            self._standing.tell(wire.SYNC_STATE_RECEIVED)
        self._health.watch(SyncResult(()), None)
        self._report_health()

    async def _drive(self, snapshot: Snapshot, confirmed: frozenset[ObjectRef] = frozenset()) -> None:
        """Sync a revision, for the first time or again after a failure."""
        if self._is_suspended:
            await self._observe(snapshot)
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
        self._unconfirmed = unconfirmed(result.outcomes)
        self._applied = not result.failed and not result.superseded
        standing.counts = count(result.outcomes, untouched=result.untouched)
        self._drifting.noticed(result.outcomes)
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
            self._retry.reset()
            standing.log.info("Cluster successfully synced", objects=standing.counts.total)
            note = _note(self.settings, result)
            standing.tell(wire.SYNC_STATE_APPLIED, *note)
        self._health.watch(result, note)
        self._report_health()

    def _failed(self, error: KubeError | InventoryError) -> None:
        """Report that the cluster could not be asked; try again soon, or when the server says so."""
        self._sync.doubt()
        if isinstance(error, NotLeaderError):
            raise error
        reason = error.reason if isinstance(error, KubeError) else "InventoryUnreadable"
        if isinstance(error, KubeError) and error.status == 0:
            reason = f"ApiServer{error.reason}"
            self._retry.soon()
        else:
            self._retry.later()
        self._standing.log.warning("Sync failed", reason=reason, why=str(error), retry_in=self._retry.remaining)
        self._standing.tell(wire.SYNC_STATE_FAILED, reason, str(error))
        self._changed.clear()

    async def _react(self, changed: Iterable[ObjectRef]) -> None:
        """Look at objects that something happened to: put drift back, pass their health on."""
        try:
            result = await self._drifting.react(changed)
        except (KubeError, InventoryError) as error:
            self._failed(error)
        else:
            if result is not None and result.failed:
                self._retry.later()
                await self._standing.log_outcomes(result.outcomes)
                self._standing.tell_failure(result)
        self._health.pass_on(changed)
        self._report_health()

    def _report_health(self) -> None:
        """Tell how the revision fares, unless it has not been applied whole."""
        if self._applied and not self._retry.pending:
            self._health.report()


def _note(settings: ProjectSettings, result: SyncResult) -> tuple[str, str]:
    """Return the reason and message of a sync that ended well, but about which there is something to say."""
    if settings.dry_run is not DryRun.NONE:
        return "DryRun", f"dry_run_strategy is {settings.dry_run.value}: nothing was changed"
    for outcome in result.outcomes:
        if outcome.result is Result.SKIPPED and outcome.reason not in _EXPECTED_SKIPS:
            return outcome.reason, f"{outcome.ref} {outcome.message}"
    return "", ""


_EXPECTED_SKIPS = frozenset({"MutationIgnored", "Released", "PruneDisabled"})
"""Skips that the configuration or an annotation asked for."""
