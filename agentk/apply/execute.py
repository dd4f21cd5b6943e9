"""Carries a plan out and reports what became of each object. All choices were made by ``plan``.

The halves of it are ``applies`` and ``prunes``. Single requests, with their retries, are the objects port's
(``agentk.kube.objects``); writing the inventory before and after is the caller's. An outcome is reported the moment it
is known, so that cancelling a run (a lost lease, a shutdown) loses nothing that is known to have happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.applies import Applies
from agentk.apply.model import DryRun, Outcome, Result
from agentk.apply.prunes import Prunes
from agentk.apply.serving import Serving
from agentk.apply.waiting import Patience
from agentk.kube.concurrency import CEILING
from agentk.kube.errors import KubeError, first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentk.apply.model import Plan
    from agentk.apply.waiting import Readiness
    from agentk.kube.discovery import Discovery
    from agentk.kube.objects import Objects

_ESTABLISH_SECONDS: Final = 30.0


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

    async def run(
        self,
        plan: Plan,
        report: Callable[[Outcome], None],
        *,
        readiness: Readiness | None = None,
        patience: Patience | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Carry a plan out, and report exactly one outcome for each of the plan's ``total`` objects as it is known.

        ``report`` is called on the event loop, so it must be quick, and must not fail.
        The outcomes that were decided without any action come first. With ``DryRun.CLIENT`` nothing is sent, with
        ``DryRun.SERVER`` everything is, as a rehearsal; outcomes say what would have been done.

        Args:
            plan: What to do.
            report: Told of each outcome.
            readiness: How objects fare; without it nobody waits for health, or for the end of what is deleted.
            patience: Ends the waits when told to: what waits then is reported as skipped, what is under way is ended.
            settle: Writes down what has been reported, before something is deleted that tells what that was.

        Returns:
            Whether everything that was to be done was done.

        Raises:
            KubeError: The cluster cannot be reached or does not know us any more. What was done until then has been
                reported; the rest has not been tried.
        """
        try:
            return await self._run(plan, report, readiness, patience or Patience(), settle)
        except* KubeError as errors:
            raise first_of(errors) from None

    async def _run(
        self,
        plan: Plan,
        report: Callable[[Outcome], None],
        readiness: Readiness | None,
        patience: Patience,
        settle: Callable[[], Awaitable[None]] | None,
    ) -> bool:
        for outcome in plan.decided:
            report(outcome)
        if plan.blocked is not None:
            report(plan.blocked)
            return False
        if plan.dry_run is DryRun.CLIENT:
            _rehearse(plan, report)
            return not _has_failed(plan.decided)
        dry_run = plan.dry_run is DryRun.SERVER
        applies = Applies(
            self._objects,
            self._discovery,
            readiness,
            patience,
            serving=Serving(self._discovery, self._establish_seconds),
            body_of=plan.body_of,
            bounds=plan.bounds,
            report=report,
            seconds=plan.reconcile_timeout,
            width=self._width,
            dry_run=dry_run,
        )
        complete = await applies.run(plan.stages)
        if plan.prunes or plan.releases:
            prunes = Prunes(
                self._objects,
                readiness,
                patience,
                report=report,
                seconds=plan.prune_timeout,
                width=self._width,
                dry_run=dry_run,
                settle=settle,
            )
            complete = await prunes.run(plan, allowed=complete)
        return complete and not _has_failed(plan.decided)


def _rehearse(plan: Plan, report: Callable[[Outcome], None]) -> None:
    """Report what the plan would do, as far as that is known without asking the cluster."""
    for stage in plan.stages:
        for action in stage.actions:
            result = Result.CREATED if action.live_version is None else Result.CONFIGURED
            report(Outcome(action.desired.ref, result, action.desired.path, "DryRun"))
    for wave in plan.prunes:
        for prune in wave:
            report(Outcome(prune.ref, Result.PRUNED, reason="DryRun"))
    for release in plan.releases:
        report(Outcome(release.ref, Result.SKIPPED, reason="DryRun", message=release.message))


def _has_failed(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.result is Result.FAILED for outcome in outcomes)
