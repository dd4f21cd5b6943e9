"""The loop of one manifest project: newest snapshot first, then what people order, then what falls due of itself.

One task a project, so that projects never wait for each other's syncs. Here is what comes next; how a revision is
synced, tried again and put right is in ``driving.py``, what is told of it in ``standing.py``, how the objects fare in
``health_watch.py``, what others change in ``drifting.py``.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun, Refusal
from agentk.gitops.driving import Driving
from agentk.gitops.foreseeing import foresee
from agentk.gitops.orders import Order, Orders, OtherPrune
from agentk.gitops.retry import RetryClock
from agentk.gitops.standing import Standing
from agentk.kube.errors import KubeError, NotLeaderError
from agentk.kube.events import EventRecorder
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.objects import Objects
from agentlink.refs import digest_of
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agentk.apply.model import Kind, ProjectSettings, Snapshot
    from agentk.gitops.announcing import Announcement
    from agentk.gitops.holders import Held
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
        store = self._store = InventoryStore(
            kube,
            settings.inventory_id,
            namespace=settings.inventory_home,
            key=cluster.inventory_key,
            identity=settings.identity,
        )
        self._kube, self._cluster = kube, cluster
        self._observer, self._autoscalers, self._served = cluster.observer, cluster.autoscalers, cluster.served
        self._settings = settings
        self._standing = Standing(reports, settings, self._announce)
        self._driving = Driving(cluster, settings, store, self._standing, self._begins_to_wait)
        self._waiting: Snapshot | None = None
        self._orders = Orders()
        self._wake = asyncio.Event()
        self._reports = reports
        self._inventory_id: str | None = None
        self._identifying = asyncio.Lock()

    @property
    def settings(self) -> ProjectSettings:
        """Return what the configuration says about this project."""
        return self._settings

    def offer(self, snapshot: Snapshot) -> None:
        """Take a newer snapshot; one that still waits is superseded by it, as are the waits of the one at hand."""
        self._waiting = snapshot
        held = self._standing.snapshot
        if held is not None and held.sync_id != snapshot.sync_id:
            self._driving.interrupt()
        self._wake.set()

    def reconfigure(self, settings: ProjectSettings) -> None:
        """Take what the configuration now says; the newest snapshot is synced anew if that changed anything."""
        if self._inventory_id is not None:
            settings = _under(self._inventory_id, settings)
        if settings != self.settings:
            self._settings = settings
            self._driving.interrupt(stop=settings.suspension is not None)
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
        waiting = self._driving.unconfirmed
        if digest_of(waiting) != digest or not waiting:
            return OtherPrune.of(waiting)
        order = Order(waiting)
        try:
            async with asyncio.timeout(CONFIRMED_SECONDS):
                return await self._order(order)
        except TimeoutError:
            return None

    async def held(self) -> Held:
        """Return what the project holds, for others that would prune what it needs.

        Raises:
            KubeError, InventoryError: Nobody can tell now.
        """
        await self._identify()
        return await self._driving.held()

    async def diff(self, snapshot: Snapshot) -> AsyncGenerator[wire.ObjectDiff, None]:
        """Tell what a revision would change."""
        await self._identify()
        running = self._driving.body_in_git
        async with aclosing(foresee(self._kube, self._cluster, self._settings, snapshot, running=running)) as objects:
            async for one in objects:
                yield one

    async def _order(self, order: Order) -> Refusal | None:
        if self._standing.snapshot is None and self._waiting is None:
            return Refusal("NothingReceived", "no revision of the project has arrived yet; `kas get syncs` says why")
        if self._settings.suspension is not None:
            return _SUSPENDED
        self._orders.add(order)
        self._driving.interrupt()
        self._wake.set()
        return await asyncio.shield(order.answer)

    def observed(self, ref: ObjectRef) -> None:
        """Take note that something happened to one of the project's objects."""
        if self._driving.notice(ref):
            self._make_way_soon(ref)
        self._wake.set()

    def _begins_to_wait(self) -> None:
        """Look at what happened before a sync waits as at what happens while it does."""
        for ref in self._driving.overlooked():
            self._make_way_soon(ref)

    def _make_way_soon(self, ref: ObjectRef) -> None:
        asyncio.get_running_loop().call_later(_OWN_ANSWER_SECONDS, self._make_way, ref)

    def _make_way(self, ref: ObjectRef) -> None:
        """Interrupt a sync that waits, to put an object back that is still not as it was applied."""
        if self._driving.is_to_make_way(ref):
            self._driving.interrupt()

    def scaled(self, ref: ObjectRef) -> None:
        """Take note that an object has an autoscaler from now on, or none any more."""
        if self._driving.rescale(ref):
            self.observed(ref)

    def resighted(self, kind: Kind) -> None:
        """Say where the project stands anew, or sync it: objects of a kind are seen less, or again."""
        if self._driving.resighted(kind):
            self._wake.set()

    @property
    def waits_for_kinds(self) -> bool:
        """Tell whether some kind is to be served before all is well."""
        return self._driving.waits_for_kinds

    def kinds_changed(self) -> None:
        """Go on with what waited for a kind that is served now."""
        if self._driving.kinds_changed():
            self._wake.set()

    def unreachable(self, error: KubeError) -> None:
        """Say that nobody knows how the project is now; everything is looked at anew when the API server is back."""
        if self._driving.lose(error):
            self._wake.set()

    async def run(self) -> None:
        """Work for as long as this replica leads, from when it is known which inventory is the project's."""
        try:
            await self._find_inventory()
        except BaseException:
            self._orders.refuse_all(_INTERRUPTED)
            raise
        self._observer.register(self.settings.inventory_id, self)
        if self._autoscalers is not None:
            self._autoscalers.register(self)
        if self._served is not None:
            self._served.register(self)
        try:
            async with self._events.running():
                await self._work()
        finally:
            self._orders.refuse_all(_INTERRUPTED)
            self._observer.unregister(self.settings.inventory_id)
            if self._autoscalers is not None:
                self._autoscalers.unregister(self)
            if self._served is not None:
                self._served.unregister(self)

    async def _identify(self) -> None:
        """Find out which inventory is the project's, unless that is known.

        Raises:
            KubeError, InventoryError: Nobody can tell now.
        """
        async with self._identifying:
            if self._inventory_id is None:
                found = await self._store.identify()
                if found != self._settings.inventory_id:
                    self._standing.log.info("The inventory goes on under its id", inventory=found)
                self._inventory_id = found
                self._settings = _under(found, self._settings)
                self._driving.go_by(self._settings)

    async def _find_inventory(self) -> None:
        """Try to identify the inventory until that succeeds; what keeps from it is the failure of what waits."""
        retry = RetryClock()
        told: tuple[str, str] | None = None
        while True:
            try:
                await self._identify()
            except (KubeError, InventoryError) as error:
                reason = retry.after(error)
                if self._waiting is not None and (said := (self._waiting.sync_id, str(error))) != told:
                    told = said
                    self._cannot_begin(self._waiting, reason, str(error))
            else:
                return
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(retry.remaining):
                    await self._wake.wait()

    def _cannot_begin(self, snapshot: Snapshot, reason: str, message: str) -> None:
        self._standing.log.warning("Sync failed", reason=reason, why=message)
        self._reports.sync(snapshot, wire.SYNC_STATE_FAILED, reason=reason, message=message)
        self._reports.event(snapshot.project_id, sync_id=snapshot.sync_id, reason=reason, message=message, warning=True)

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
        elif self._driving.settings != self._settings:
            await self._begin(held)
        elif self._orders:
            await self._obey(self._orders.take(), held)
        elif not await self._driving.step(held):
            await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until something happens or falls due."""
        self._wake.clear()
        if self._has_work:
            return
        remaining = self._driving.remaining if self._standing.snapshot is not None else None
        try:
            async with asyncio.timeout(remaining):
                await self._wake.wait()
        except TimeoutError:
            pass

    @property
    def _has_work(self) -> bool:
        if self._waiting is not None:
            return True
        held = self._standing.snapshot is not None
        return held and (bool(self._orders) or self._driving.settings != self._settings)

    def _is_held(self, snapshot: Snapshot) -> bool:
        """Tell whether this is the revision at hand, offered again after a reconnect: nothing is to be done."""
        held = self._standing.snapshot
        return held is not None and held.sync_id == snapshot.sync_id and self._driving.settings == self._settings

    async def _take(self, snapshot: Snapshot) -> None:
        """Go over to the newest revision, with as much work as it differs."""
        if self._is_held(snapshot):
            await self._driving.take_selection(snapshot)
            self._standing.tell_again()
        elif self._changes_nothing(snapshot):
            await self._driving.carry_over(snapshot)
        else:
            await self._begin(snapshot)

    def _changes_nothing(self, snapshot: Snapshot) -> bool:
        """Tell whether a new revision has the files of the one at hand, which is applied whole: nothing is asked."""
        held, driving = self._standing.snapshot, self._driving
        return (
            held is not None
            and held.digest == snapshot.digest
            and driving.is_settled
            and not driving.is_suspended
            and driving.settings == self._settings
            and self._settings.dry_run is DryRun.NONE
        )

    async def _begin(self, snapshot: Snapshot) -> None:
        """Start on a new revision, or anew on this one by other settings."""
        self._driving.go_by(self._settings)
        await self._driving.begin(snapshot)

    async def _obey(self, order: Order, held: Snapshot) -> None:
        """Do what somebody ordered, unless things have changed since."""
        driving = self._driving
        try:
            if driving.is_suspended:
                order.settle(_SUSPENDED)
            elif order.confirmed is None:
                order.settle()
                await driving.reconcile(held)
            else:
                await driving.prune(held, order.confirmed)
                waiting = driving.unconfirmed
                order.settle(OtherPrune.of(waiting) if waiting else None)
        finally:
            order.settle(_INTERRUPTED)


def _under(inventory_id: str, settings: ProjectSettings) -> ProjectSettings:
    """Return settings with the inventory that is the project's, whatever its number is now."""
    number_id = settings.inventory_id if settings.inventory_id != inventory_id else ""
    return replace(settings, inventory_id=inventory_id, number_id=number_id)
