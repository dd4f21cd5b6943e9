"""Drift of one project's objects: noticed, put back, told; and held back where somebody else keeps changing them.

Owns the count of corrections. What drift is, is decided in ``agentk.apply.rules.drift``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentk.apply.model import DryRun, Result
from agentk.apply.rules.drift import drift_of
from agentk.gitops.fights import PAUSE_SECONDS, Fights
from agentk.reports.convert import status_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.gitops.observer import Observer
    from agentk.gitops.standing import Standing
    from agentk.gitops.sync import ProjectSync, SyncResult
    from agentlink.refs import ObjectRef


class Drifting:
    """Puts objects back that were changed outside Git."""

    def __init__(self, observer: Observer, sync: ProjectSync, standing: Standing) -> None:
        self._observer = observer
        self._sync = sync
        self._standing = standing
        self._fights = Fights()

    @property
    def remaining(self) -> float | None:
        """Return the seconds until ``due`` names an object, None when none is held back."""
        return self._fights.remaining

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
        found = [ref for ref in changed if self._has_drifted(ref)]
        drifted = [ref for ref in found if self._may_correct(ref)]
        if len(drifted) < len(found):
            self._sync.doubt()
        return await self._repair(drifted) if drifted else None

    def _may_correct(self, ref: ObjectRef) -> bool:
        """Ask whether to put an object back now, or to hold back from a fight, which people are told of."""
        if self._fights.enter(ref):
            return True
        message = f"{ref} was changed outside Git again and again; it is left as it is for {PAUSE_SECONDS:g} s"
        self._standing.log.warning("Drift is not corrected for now", object=str(ref), why=message)
        self._standing.event("DriftFight", message, warning=True, ref=ref)
        return False

    def _has_drifted(self, ref: ObjectRef) -> bool:
        settings, recorded = self._sync.settings, self._sync.recorded(ref)
        if recorded is None or ref not in self._sync.desired or settings.dry_run is not DryRun.NONE:
            return False
        if self._sync.desired[ref].ignore_mutation:
            return False
        return drift_of(self._observer.live.get(ref), recorded, settings) is not None

    async def _repair(self, drifted: list[ObjectRef]) -> SyncResult:
        began = time.monotonic()
        result = await self._sync.repair(drifted)
        self._standing.tell_objects([status_of(outcome) for outcome in result.outcomes])
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        for outcome in result.outcomes:
            if outcome.result in {Result.CREATED, Result.CONFIGURED}:
                self._standing.log.info("Drift corrected", object=str(outcome.ref), milliseconds=milliseconds)
                message = f"{outcome.ref} was changed outside Git and has been put back"
                self._standing.event("DriftCorrected", message, ref=outcome.ref)
        return result
