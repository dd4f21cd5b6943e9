"""Carries a plan out and reports what became of each object. All choices were made by ``plan``.

Single requests, with their retries, are the objects port's (``agentk.kube.objects``); writing the inventory before and
after is the caller's. An outcome is reported the moment its request has been answered, so that cancelling a run (a
newer revision, a lost lease, a shutdown) loses nothing that is known to have happened.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agentk.apply.applying import apply_one, failed
from agentk.apply.model import DryRun, Outcome, Result
from agentk.kube.concurrency import CEILING
from agentk.kube.errors import KubeError, UidConflictError, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from agentk.apply.model import Apply, Kind, Plan, Prune, Stage
    from agentk.kube.discovery import Discovery
    from agentk.kube.objects import Objects

_ESTABLISH_SECONDS: Final = 30.0
_FIRST_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 0.5


class Executor:
    """Runs plans, of any number of projects at once.

    A plan is worked on by ``width`` at a time. How many requests of all projects are in flight, and whose turn it is,
    the client decides (``agentk.kube.limiter``).
    """

    def __init__(
        self,
        objects: Objects,
        discovery: Discovery,
        *,
        width: int = CEILING,
        establish_seconds: float = _ESTABLISH_SECONDS,
    ) -> None:
        """Make an executor.

        Args:
            objects: The cluster.
            discovery: Asked again until the kinds that a stage's CRDs define are served.
            width: Requests that one plan may have in flight or waiting for their turn.
            establish_seconds: How long to wait for kinds to be served.
        """
        self._objects = objects
        self._discovery = discovery
        self._width = width
        self._establish_seconds = establish_seconds

    def acting_on(self, objects: Objects) -> Executor:
        """Return an executor that goes through another view of the cluster."""
        return Executor(objects, self._discovery, width=self._width, establish_seconds=self._establish_seconds)

    async def run(self, plan: Plan, report: Callable[[Outcome], None]) -> bool:
        """Carry a plan out, and report exactly one outcome for each of the plan's ``total`` objects as it is known.

        ``report`` is called on the event loop, so it must be quick, and must not fail.
        The outcomes that were decided without any action come first. With ``DryRun.CLIENT`` nothing is sent, with
        ``DryRun.SERVER`` everything is, as a rehearsal; outcomes say what would have been done.

        Returns:
            Whether no object failed.

        Raises:
            KubeError: The cluster cannot be reached or does not know us any more. What was done until then has been
                reported; the rest has not been tried.
        """
        try:
            return await self._run(plan, report)
        except* KubeError as errors:
            raise first_of(errors) from None

    async def _run(self, plan: Plan, report: Callable[[Outcome], None]) -> bool:
        for outcome in plan.decided:
            report(outcome)
        if plan.blocked is not None:
            report(plan.blocked)
            return False
        if plan.dry_run is DryRun.CLIENT:
            _rehearse(plan, report)
            return not _has_failed(plan.decided)
        complete = True
        unserved: frozenset[Kind] = frozenset()
        for stage in plan.stages:
            failures = await self._apply_all(stage, unserved, report, dry_run=plan.dry_run is DryRun.SERVER)
            complete = complete and not failures
            # What a refused CRD defines will not be served, unless it was before; no use waiting for it.
            unserved |= frozenset(self._missing([kind for action in failures for kind in action.desired.defines]))
            if stage.establishes and plan.dry_run is DryRun.NONE:
                unserved |= await self._await_served([kind for kind in stage.establishes if kind not in unserved])
        if plan.prunes:
            complete &= await self._prune_all(plan, report, allowed=complete)
        return complete and not _has_failed(plan.decided)

    async def _apply_all(
        self, stage: Stage, unserved: frozenset[Kind], report: Callable[[Outcome], None], *, dry_run: bool
    ) -> list[Apply]:
        """Apply a stage, and return what of it failed."""
        failures: list[Apply] = []
        queue = iter(stage.applies)

        async def work(queue: Iterator[Apply]) -> None:
            for action in queue:
                if unserved and action.desired.kind in unserved:
                    outcome = _not_served(action)
                else:
                    outcome = await apply_one(self._objects, action, dry_run=dry_run)
                if outcome.result is Result.FAILED:
                    failures.append(action)
                report(outcome)

        await self._side_by_side(lambda: work(queue), len(stage.applies))
        return failures

    async def _await_served(self, kinds: Sequence[Kind]) -> frozenset[Kind]:
        """Wait until all ``kinds`` are served, within bounds; return those that are not."""
        missing = self._missing(kinds)
        pause = _FIRST_POLL_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(self._establish_seconds):
                while missing:
                    # A server under load may refuse now and then; the deadline is what decides.
                    with suppress(KubeError):
                        await self._discovery.refresh()
                    missing = self._missing(missing)
                    if missing:
                        await asyncio.sleep(pause)
                        pause = min(pause * 2, _LONGEST_POLL_SECONDS)
        return frozenset(missing)

    def _missing(self, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
        return tuple(kind for kind in kinds if self._discovery.find(kind.group, kind.kind, kind.version) != kind)

    async def _prune_all(self, plan: Plan, report: Callable[[Outcome], None], *, allowed: bool) -> bool:
        """Delete wave by wave; a wave that was not complete ends it, so that nothing is deleted from under the rest."""
        complete = allowed
        for wave in plan.prunes:
            if complete:
                complete = await self._prune_wave(wave, report, dry_run=plan.dry_run is DryRun.SERVER)
            else:
                for prune in wave:
                    report(_waits(prune))
        return complete

    async def _prune_wave(self, wave: Sequence[Prune], report: Callable[[Outcome], None], *, dry_run: bool) -> bool:
        complete = True
        queue = iter(wave)

        async def work(queue: Iterator[Prune]) -> None:
            nonlocal complete
            for prune in queue:
                outcome = await self._prune(prune, dry_run=dry_run)
                if outcome.result is Result.FAILED:
                    complete = False
                report(outcome)

        await self._side_by_side(lambda: work(queue), len(wave))
        return complete

    async def _prune(self, prune: Prune, *, dry_run: bool) -> Outcome:
        try:
            await self._objects.delete(
                prune.kind, prune.ref, uid=prune.uid, propagation=prune.propagation, dry_run=dry_run
            )
        except UidConflictError:
            message = "is no longer in Git, and stays because somebody created it anew"
            return Outcome(prune.ref, Result.SKIPPED, reason="Recreated", message=message)
        except KubeError as error:
            return failed(error, prune.ref, "")
        return Outcome(prune.ref, Result.PRUNED, reason="DryRun" if dry_run else "", uid=prune.uid)

    async def _side_by_side(self, work: Callable[[], Coroutine[None, None, None]], most: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._width, most)):
                group.create_task(work())


def _rehearse(plan: Plan, report: Callable[[Outcome], None]) -> None:
    """Report what the plan would do, as far as that is known without asking the cluster."""
    for stage in plan.stages:
        for action in stage.applies:
            result = Result.CREATED if action.live_version is None else Result.CONFIGURED
            report(Outcome(action.desired.ref, result, action.desired.path, "DryRun"))
    for wave in plan.prunes:
        for prune in wave:
            report(Outcome(prune.ref, Result.PRUNED, reason="DryRun"))


def _not_served(action: Apply) -> Outcome:
    desired = action.desired
    message = f"{desired.kind.api_version} {desired.kind.kind} is not served; see its CustomResourceDefinition"
    return Outcome(desired.ref, Result.FAILED, desired.path, "KindNotServed", message)


def _waits(prune: Prune) -> Outcome:
    message = "is no longer in Git, and stays until everything before it has succeeded"
    return Outcome(prune.ref, Result.SKIPPED, reason="PruneWaits", message=message)


def _has_failed(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.result is Result.FAILED for outcome in outcomes)
