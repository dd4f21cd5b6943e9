"""The loop of one manifest project: newest snapshot first, then drift, then retries; and its health all along.

One task a project, so that projects never wait for each other's syncs. What happens to the project's objects comes from
the observer; what became of it all goes to the reports.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun, Result
from agentk.apply.rules.drift import drift_of
from agentk.gitops.fights import PAUSE_SECONDS, Fights
from agentk.gitops.progress import Progress
from agentk.gitops.retry import RetryClock
from agentk.gitops.sync import ProjectSync, SyncResult
from agentk.health.rules import needs_status
from agentk.health.summary import HealthSummary, Phase
from agentk.kube.errors import KubeError
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.objects import Objects
from agentk.reports.convert import ObjectStatus, count, health_of, status_of
from agentlink import logs
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.apply.model import ProjectSettings, Snapshot
    from agentk.gitops.sync import Cluster
    from agentk.kube.client import KubeClient
    from agentk.reports.queue import ReportQueue
    from agentlink.refs import ObjectRef

log = logs.get_logger("gitops")


class ProjectLoop:
    """Drives one project, from ``run`` until cancelled."""

    def __init__(self, kube: KubeClient, cluster: Cluster, settings: ProjectSettings, reports: ReportQueue) -> None:
        kube = kube.in_lane(settings.inventory_id)
        if settings.impersonate_user:
            kube = kube.impersonating(settings.impersonate_user)
        objects = Objects(kube)
        cluster = replace(cluster, objects=objects, executor=cluster.executor.acting_on(objects))
        store = InventoryStore(kube, settings.inventory_id, namespace=settings.default_namespace)
        self._cluster = cluster
        self._reports = reports
        self._sync = ProjectSync(cluster, settings, store)
        self._settings = settings
        self._log = log.bind(project_id=settings.path)
        self._waiting: Snapshot | None = None
        self._snapshot: Snapshot | None = None
        self._state = wire.SYNC_STATE_UNSPECIFIED
        self._told: tuple[wire.SyncState, str, str] | None = None
        self._counts = wire.SyncCounts()
        self._note = ("", "")
        self._changed: dict[ObjectRef, None] = {}
        self._health = HealthSummary()
        self._health_deadline = 0.0
        self._retry = RetryClock()
        self._fights = Fights()
        self._unsettled: set[ObjectRef] | None = None
        self._wake = asyncio.Event()

    @property
    def settings(self) -> ProjectSettings:
        """Return what the configuration says about this project."""
        return self._settings

    def offer(self, snapshot: Snapshot) -> None:
        """Take a newer snapshot; one that still waits is superseded by it."""
        self._waiting = snapshot
        self._wake.set()

    def reconfigure(self, settings: ProjectSettings) -> None:
        """Take what the configuration now says; the newest snapshot is synced anew if that changed anything."""
        if settings != self.settings:
            self._settings = settings
            self._wake.set()

    def observed(self, ref: ObjectRef) -> None:
        """Take note that something happened to one of the project's objects."""
        self._changed[ref] = None
        self._wake.set()

    def blinded(self) -> None:
        """Say where the project stands anew: some of its objects' changes may go unseen."""
        if self._snapshot is not None:
            self._report_health()

    def unreachable(self, error: KubeError) -> None:
        """Say that nobody knows how the project is now; everything is looked at anew when the API server is back."""
        if self._snapshot is not None and not self._retry.pending and self._state != wire.SYNC_STATE_APPLYING:
            self._failed(error)
            self._wake.set()

    async def run(self) -> None:
        """Work, for ever."""
        self._cluster.observer.register(self.settings.inventory_id, self)
        try:
            while True:
                await self._turn()
        finally:
            self._cluster.observer.unregister(self.settings.inventory_id)

    async def _turn(self) -> None:
        if self._waiting is not None:
            snapshot, self._waiting = self._waiting, None
            if self._is_held(snapshot):
                self._tell_again()
                return
            self._sync.settings = self._settings
            self._retry.reset()
            await self._begin(snapshot)
        elif self._snapshot is not None and self._sync.settings != self._settings:
            self._sync.settings = self._settings
            self._retry.reset()
            await self._begin(self._snapshot)
        elif self._snapshot is not None and self._retry.due:
            await self._drive(self._snapshot)
        elif self._changed and self._snapshot is not None:
            changed, self._changed = self._changed, {}
            await self._react(changed)
        elif self._health_overdue:
            self._report_health()
        elif due := self._fights.due():
            self._changed.update(dict.fromkeys(due))
        else:
            await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until something happens or falls due."""
        self._wake.clear()
        if self._has_work:
            return
        waits = (self._retry.remaining, self._health_remaining, self._fights.remaining)
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
        return self._snapshot is not None and (bool(self._changed) or self._sync.settings != self._settings)

    def _is_held(self, snapshot: Snapshot) -> bool:
        """Tell whether this is the revision at hand, offered again after a reconnect: nothing is to be done."""
        held = self._snapshot
        return held is not None and held.sync_id == snapshot.sync_id and self._sync.settings == self._settings

    async def _begin(self, snapshot: Snapshot) -> None:
        """Start on a new revision; the one before it, if it has not come to its end, is superseded."""
        before = self._snapshot
        if before is not None and before.sync_id != snapshot.sync_id and self._state == wire.SYNC_STATE_APPLIED:
            self._reports.sync(before, wire.SYNC_STATE_SUPERSEDED, reason="NewerRevision", counts=self._counts)
        self._snapshot = snapshot
        self._told = None
        self._counts = wire.SyncCounts(total=sum(len(objects) for objects in snapshot.files.values()))
        self._log = log.bind(project_id=self.settings.path, commit_id=snapshot.commit)
        self._tell(wire.SYNC_STATE_RECEIVED)
        await self._drive(snapshot)

    async def _drive(self, snapshot: Snapshot) -> None:
        """Sync a revision, for the first time or again after a failure."""
        if not self._retry.pending:
            self._tell(wire.SYNC_STATE_APPLYING)
        self._state = wire.SYNC_STATE_APPLYING
        progress = Progress(self._reports, self._sync, snapshot, self._unsettled, quiet=self._retry.pending)
        try:
            result = await self._sync.run(snapshot, progress.note)
        except (KubeError, InventoryError) as error:
            progress.finish()
            self._failed(error)
            return
        self._unsettled = progress.finish()
        self._counts = count(result.outcomes)
        self._log_outcomes(result)
        if result.failed:
            self._retry.later()
            self._tell_failure(result)
        else:
            self._retry.reset()
            self._log.info("Cluster successfully synced", objects=self._counts.total)
            self._note = _note(self.settings, result)
            self._tell(wire.SYNC_STATE_APPLIED, *self._note)
        self._watch_health(result)

    def _failed(self, error: KubeError | InventoryError) -> None:
        """Report that the cluster could not be asked; try again soon, or when the server says so."""
        reason = error.reason if isinstance(error, KubeError) else "InventoryUnreadable"
        if isinstance(error, KubeError) and error.status == 0:
            reason = f"ApiServer{error.reason}"
            self._retry.soon()
        else:
            self._retry.later()
        self._log.warning("Sync failed", reason=reason, why=str(error), retry_in=self._retry.remaining)
        self._tell(wire.SYNC_STATE_FAILED, reason, str(error))
        self._changed.clear()

    def _tell_failure(self, result: SyncResult) -> None:
        first = result.blocked or result.failed[0]
        more = f" (and {len(result.failed) - 1} more objects failed)" if len(result.failed) > 1 else ""
        where = f"{first.path}: " if first.path else ""
        self._tell(wire.SYNC_STATE_FAILED, first.reason or "ApplyFailed", f"{where}{first.ref}: {first.message}{more}")

    def _log_outcomes(self, result: SyncResult) -> None:
        for outcome in result.outcomes:
            resource_key = f"{outcome.ref.group}/{outcome.ref.kind}/{outcome.ref.namespace}/{outcome.ref.name}"
            sync_result = f"{_short(outcome.ref)} {outcome.result.value}"
            if outcome.result is Result.FAILED:
                self._log.error(
                    "Sync of an object failed",
                    resource_key=resource_key,
                    sync_result=sync_result,
                    reason=outcome.reason,
                    why=outcome.message,
                )
            elif outcome.result is not Result.UNCHANGED:
                self._log.info("Synced", resource_key=resource_key, sync_result=sync_result)

    def _watch_health(self, result: SyncResult) -> None:
        """Start waiting for every object of the revision to be current."""
        if self.settings.dry_run is not DryRun.NONE or result.blocked is not None:
            return
        self._health.expect(one.ref for one in self._sync.desired.values() if needs_status(one.kind))
        self._pass_health_on(self._sync.desired)
        timeout = self.settings.reconcile_timeout
        self._health_deadline = time.monotonic() + timeout if timeout else 0.0
        if not result.failed:
            self._report_health()

    def _pass_health_on(self, refs: Iterable[ObjectRef]) -> None:
        """Take in how objects fare, and report what is news."""
        news = []
        for ref in refs:
            one = self._sync.desired.get(ref)
            if one is None or not needs_status(one.kind):
                continue
            health = self._cluster.observer.health(ref)
            if self._health.update(ref, health) and health is not None:
                news.append(ObjectStatus(ref, health=health_of(health), message=health.message))
        if news and self._snapshot is not None:
            self._reports.outcomes(self._snapshot, news)

    async def _react(self, changed: Iterable[ObjectRef]) -> None:
        """Look at objects that something happened to: put drift back, pass their health on."""
        drifted = [ref for ref in changed if self._has_drifted(ref) and self._may_correct(ref)]
        if drifted:
            await self._repair(drifted)
        self._pass_health_on(changed)
        self._report_health()

    def _may_correct(self, ref: ObjectRef) -> bool:
        """Ask whether to put an object back now, or to hold back from a fight, which people are told of."""
        if self._fights.enter(ref):
            return True
        snapshot = self._snapshot
        if snapshot is not None:
            message = f"{ref} was changed outside Git again and again; it is left as it is for {PAUSE_SECONDS:g} s"
            self._log.warning("Drift is not corrected for now", object=str(ref), why=message)
            self._reports.event(
                snapshot.project_id,
                sync_id=snapshot.sync_id,
                reason="DriftFight",
                message=message,
                warning=True,
                ref=ref,
            )
        return False

    def _has_drifted(self, ref: ObjectRef) -> bool:
        recorded = self._sync.recorded(ref)
        if recorded is None or ref not in self._sync.desired or self.settings.dry_run is not DryRun.NONE:
            return False
        if self._sync.desired[ref].ignore_mutation:
            return False
        return drift_of(self._cluster.observer.live.get(ref), recorded, self.settings) is not None

    async def _repair(self, drifted: list[ObjectRef]) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        began = time.monotonic()
        try:
            result = await self._sync.repair(drifted)
        except (KubeError, InventoryError) as error:
            self._failed(error)
            return
        self._reports.outcomes(snapshot, [status_of(outcome) for outcome in result.outcomes])
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        for outcome in result.outcomes:
            if outcome.result in {Result.CREATED, Result.CONFIGURED}:
                self._log.info("Drift corrected", object=str(outcome.ref), milliseconds=milliseconds)
                self._reports.event(
                    snapshot.project_id,
                    sync_id=snapshot.sync_id,
                    reason="DriftCorrected",
                    message=f"{outcome.ref} was changed outside Git and has been put back",
                    ref=outcome.ref,
                )
        if result.failed:
            self._retry.later()
            self._log_outcomes(result)
            self._tell_failure(result)

    def _report_health(self) -> None:
        """Tell where the revision stands, if it has been applied whole."""
        if self._state not in _SETTLED or self._retry.pending or self.settings.dry_run is not DryRun.NONE:
            return
        summary = self._health.summary
        if summary.phase is Phase.HEALTHY:
            self._tell(wire.SYNC_STATE_HEALTHY, *(self._note if self._note[0] else self._blindness()))
        elif summary.phase is Phase.FAILED:
            self._tell(wire.SYNC_STATE_FAILED, "Unhealthy", summary.message)
        elif self._health_overdue:
            seconds = f"{self.settings.reconcile_timeout:g} s"
            self._tell(wire.SYNC_STATE_STALLED, "ReconcileTimeout", f"not healthy after {seconds}: {summary.message}")
            self._health_deadline = 0.0
        elif self._state != wire.SYNC_STATE_STALLED:
            self._tell(wire.SYNC_STATE_APPLIED, "Progressing", summary.message)

    def _blindness(self) -> tuple[str, str]:
        """Return the reason and message of a project that is well, but would not be seen to change; empty otherwise."""
        unwatched = self._cluster.observer.unwatched
        for one in self._sync.desired.values() if unwatched else ():
            if (why := unwatched.get((one.kind.group, one.kind.kind))) is not None:
                return "WatchForbidden", f"drift of {one.kind.kind} objects goes unseen: {why}; extend agentk's role"
        return "", ""

    @property
    def _health_remaining(self) -> float | None:
        """Return the seconds until the reconcile timeout, None while nobody waits for health."""
        if self._state != wire.SYNC_STATE_APPLIED or not self._health_deadline:
            return None
        return max(0.0, self._health_deadline - time.monotonic())

    @property
    def _health_overdue(self) -> bool:
        return self._health_remaining == 0.0

    def _tell(self, state: wire.SyncState, reason: str = "", message: str = "") -> None:
        """Report a state of the current revision, unless it is the one reported last."""
        self._state = state
        told = (state, reason, message)
        if told == self._told or self._snapshot is None:
            return
        self._told = told
        self._reports.sync(self._snapshot, state, reason=reason, message=message, counts=self._counts)
        if state in _TROUBLE:
            self._reports.event(
                self._snapshot.project_id,
                sync_id=self._snapshot.sync_id,
                reason=reason,
                message=message,
                warning=True,
            )

    def _tell_again(self) -> None:
        """Report the state of the current revision anew: kas may have lost it."""
        if self._told is not None:
            told, self._told = self._told, None
            self._tell(*told)


_TROUBLE = frozenset({wire.SYNC_STATE_FAILED, wire.SYNC_STATE_STALLED})
"""States that are worth an event: whoever looks later finds when it began."""

_SETTLED = frozenset(
    {wire.SYNC_STATE_APPLIED, wire.SYNC_STATE_HEALTHY, wire.SYNC_STATE_STALLED, wire.SYNC_STATE_FAILED}
)


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


def _short(ref: ObjectRef) -> str:
    return f"{ref.kind.lower()}.{ref.group}/{ref.name}" if ref.group else f"{ref.kind.lower()}/{ref.name}"
