"""Drift of one project's objects: noticed, put back or left, told; and held back where somebody keeps changing them.

Owns the count of corrections, and knows what drift is told already. What drift is, and what is done about it, is
decided in ``agentk.apply.rules.drift``; who did it is found out where it is put back (``agentk.apply.applying``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentk.apply.model import DriftPolicy, DryRun, Outcome, Result
from agentk.apply.rules.drift import CORRECTED, DRIFTED, drift_of, policy_for
from agentk.apply.rules.recreate import RECREATED
from agentk.gitops.fights import PAUSE_SECONDS, Fights
from agentk.reports.convert import status_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.gitops.observer import Observer
    from agentk.gitops.standing import Standing
    from agentk.gitops.sync import ProjectSync
    from agentk.gitops.sync_result import SyncResult
    from agentlink.refs import ObjectRef

TOLD_ONE_BY_ONE = 20
"""Drifted objects of one sync that are told one by one. Where thousands drift, one hand did it: one line says so."""


class Drifting:
    """Puts objects back that were changed outside Git, or tells of them, as the configuration says."""

    def __init__(self, observer: Observer, sync: ProjectSync, standing: Standing) -> None:
        self._observer = observer
        self._sync = sync
        self._standing = standing
        self._fights = Fights()
        self._left: dict[ObjectRef, tuple[str, str] | None] = {}
        self._given_up: dict[ObjectRef, str] = {}

    @property
    def remaining(self) -> float | None:
        """Return the seconds until ``due`` names an object, None when none is held back."""
        return self._fights.remaining

    @property
    def given_up(self) -> str:
        """Return what is not as Git has it, and not put back for now, because others keep changing it; else empty."""
        return next(iter(self._given_up.values()), "")

    def due(self) -> list[ObjectRef]:
        """Take the objects that were held back and may be looked at again."""
        return self._fights.due()

    async def react(self, changed: Iterable[ObjectRef]) -> SyncResult | None:
        """Look at objects that something happened to, and put back those that drifted.

        Returns:
            What became of those put back, None when there were none.

        Raises:
            KubeError: The cluster could not be asked.
            InventoryError: The inventory cannot be understood.
        """
        drifted = [ref for ref in changed if self._is_due(ref)]
        return await self._repair(drifted) if drifted else None

    def is_to_put_back(self, ref: ObjectRef) -> bool:
        """Tell whether an object is not as it was applied, and Git wants it just so."""
        sync = self._sync
        recorded, desired = sync.recorded(ref), sync.desired.get(ref)
        if recorded is None or desired is None or desired.ignore_mutation or not sync.is_as_recorded(ref):
            return False
        drift = drift_of(self._observer.live.get(ref), recorded, sync.settings)
        return drift is not None and policy_for(desired, sync.settings) is DriftPolicy.CORRECT

    def noticed(self, outcomes: Iterable[Outcome]) -> None:
        """Tell of what a whole sync came upon and put right: what happened unseen, and what it deleted."""
        outcomes = tuple(outcomes)
        for outcome in outcomes:
            if outcome.reason == RECREATED and outcome.result is Result.CREATED:
                self._tell(outcome)
        found = {one.ref: one for one in outcomes if one.reason in {CORRECTED, DRIFTED}}
        for ref in [ref for ref in self._left if ref not in found]:
            del self._left[ref]
        news = [one for one in found.values() if one.reason == CORRECTED or self._left_anew(one.ref)]
        for outcome in news[:TOLD_ONE_BY_ONE]:
            self._tell(outcome)
        if (more := len(news) - TOLD_ONE_BY_ONE) > 0:
            self._standing.event(news[-1].reason, f"{more} more objects were changed outside Git", warning=True)

    def _is_due(self, ref: ObjectRef) -> bool:
        """Decide whether something is to be done about an object now."""
        self._given_up.pop(ref, None)
        settings, recorded, desired = self._sync.settings, self._sync.recorded(ref), self._sync.desired.get(ref)
        if recorded is None or desired is None or settings.dry_run is not DryRun.NONE or desired.ignore_mutation:
            return False
        if ref in self._sync.rescaled:
            return settings.suspension is None
        if drift_of(self._observer.live.get(ref), recorded, settings) is None:
            if ref in self._left:
                del self._left[ref]
                self._standing.tell_objects([status_of(Outcome(ref, Result.UNCHANGED, desired.path))])
            return False
        match policy_for(desired, settings):
            case DriftPolicy.IGNORE:
                return False
            case DriftPolicy.REPORT:
                # What Git has newly is the next sync's to apply.
                return recorded.digest == desired.digest.hex() and self._left_anew(ref)
            case DriftPolicy.CORRECT:
                return self._may_correct(ref)

    def _left_anew(self, ref: ObjectRef) -> bool:
        """Take note that a drifted object is left as it is; tell whether that is news."""
        live = self._observer.live.get(ref)
        seen = None if live is None else (live.uid, live.fingerprint or "")
        if ref in self._left and self._left[ref] == seen:
            return False
        self._left[ref] = seen
        return True

    def _may_correct(self, ref: ObjectRef) -> bool:
        """Ask whether to put an object back now, or to hold back from a fight, which people are told of."""
        if self._fights.enter(ref):
            return True
        self._sync.doubt()
        last = f", the last time it {told}" if (told := self._fights.told(ref)) else ""
        message = f"{ref} was changed outside Git again and again{last}; it is left as it is for {PAUSE_SECONDS:g} s"
        self._given_up[ref] = message
        self._standing.log.warning("Drift is not corrected for now", object=str(ref), why=message)
        self._standing.event("DriftFight", message, warning=True, ref=ref)
        return False

    async def _repair(self, drifted: list[ObjectRef]) -> SyncResult:
        began = time.monotonic()
        result = await self._sync.repair(drifted)
        self._standing.tell_objects([status_of(outcome) for outcome in result.outcomes])
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        for outcome in result.outcomes:
            if outcome.reason == CORRECTED:
                self._standing.log.info(
                    "Drift corrected", object=str(outcome.ref), why=outcome.message, milliseconds=milliseconds
                )
            if outcome.result is not Result.FAILED:
                self._tell(outcome)
        return result

    def _tell(self, outcome: Outcome) -> None:
        """Tell people of one object; those that fail are told as the failure of the sync."""
        ref = outcome.ref
        if outcome.reason == CORRECTED:
            self._given_up.pop(ref, None)
            self._fights.note(ref, outcome.message)
            self._standing.event(CORRECTED, f"{ref} {outcome.message}; it has been put back", ref=ref)
        elif outcome.reason == DRIFTED:
            message = f"{ref} {outcome.message}; it is left so, because its drift is only reported"
            self._standing.log.warning("Drift is left", object=str(ref), why=outcome.message)
            self._standing.event(DRIFTED, message, warning=True, ref=ref)
        elif outcome.reason:
            self._standing.event(outcome.reason, f"{ref}: {outcome.message}", ref=ref)
