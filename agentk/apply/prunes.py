"""The second half of carrying out a plan: letting go and deleting, wave by wave, each when the one before is gone.

An object that does not end in time is named with what holds it; what needs it stays with it, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentk.apply.applying import failed
from agentk.apply.filling import withheld
from agentk.apply.model import Outcome, Propagation, Refusal, Result
from agentk.apply.rules.vanished import is_definition
from agentk.apply.waiting import STOPPED, SupersededError
from agentk.kube.errors import KubeError, NotOwnedError, UidConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from agentk.apply.model import Plan, Prune, Release
    from agentk.apply.waiting import Patience, Readiness
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef

_RECREATED = Refusal("Recreated", "is no longer in the manifests, and stays because somebody created it anew")
_TIMEOUT = "PruneTimeout"
_NOT_OURS = Refusal("NotOurs", "is no longer in the manifests, and stays because it is not annotated as ours any more")
_WAITS = Refusal("PruneWaits", "is no longer in the manifests, and stays until everything before it has succeeded")


class Prunes:
    """One run of a plan's releases and prunes.

    Without ``readiness`` an object counts as deleted when the server has accepted that.
    """

    def __init__(
        self,
        objects: Objects,
        readiness: Readiness | None,
        patience: Patience,
        *,
        report: Callable[[Outcome], None],
        seconds: float,
        width: int,
        dry_run: bool,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Make a run.

        Args:
            objects: The cluster.
            readiness: To wait for the end of objects.
            patience: How long, and whether still.
            report: Told of each outcome.
            seconds: How long an object may take to end; 0: as long as it takes.
            width: Requests in flight or waiting for their turn.
            dry_run: Whether the server is to delete nothing.
            settle: Writes down what has been reported; before a definition is deleted, without which nobody can tell
                after a crash that the objects of its kind are gone.
        """
        self._objects = objects
        self._readiness = None if dry_run else readiness
        self._patience = patience
        self._report = report
        self._seconds = seconds
        self._width = width
        self._dry_run = dry_run
        self._settle = None if dry_run else settle
        self._staying: dict[ObjectRef, None] = {}
        self._hidden: frozenset[ObjectRef] = frozenset()

    async def run(self, plan: Plan, *, allowed: bool) -> bool:
        """Let go and delete, if that is ``allowed``; tell whether all of it succeeded."""
        self._hidden = plan.hidden
        if not allowed:
            refs = (*(one.ref for one in plan.releases), *(prune.ref for wave in plan.prunes for prune in wave))
            for ref in refs:
                self._report(_skipped(ref, _WAITS))
            return False
        if plan.prunes and self._readiness is not None:
            self._readiness.begin()
        await self._release_all(plan.releases)
        for number, wave in enumerate(plan.prunes):
            if number and self._settle is not None and any(is_definition(prune.ref) for prune in wave):
                await self._settle()
            await self._delete_all(wave)
        return not self._staying

    async def _release_all(self, releases: Sequence[Release]) -> None:
        queue = iter(releases)

        async def work(queue: Iterator[Release]) -> None:
            for release in queue:
                if self._patience.stopped:
                    self._note(_skipped(release.ref, STOPPED))
                    continue
                self._note(await self._release(release))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._width, len(releases))):
                group.create_task(work(queue))

    async def _release(self, release: Release) -> Outcome:
        try:
            await self._objects.release(
                release.kind, release.ref, uid=release.uid, owner=release.owner, dry_run=self._dry_run
            )
        except UidConflictError:
            return _skipped(release.ref, _RECREATED)
        except NotOwnedError:
            return _skipped(release.ref, _NOT_OURS)
        except KubeError as error:
            return failed(error, release.ref, "")
        return _skipped(release.ref, Refusal("DryRun" if self._dry_run else "Released", release.message))

    async def _delete_all(self, wave: Sequence[Prune]) -> None:
        queue = iter(wave)

        async def work(queue: Iterator[Prune], waits: asyncio.TaskGroup) -> None:
            for prune in queue:
                if self._patience.stopped:
                    self._note(_skipped(prune.ref, STOPPED))
                    continue
                remaining = next((ref for ref in prune.after if ref in self._staying), None)
                if remaining is not None:
                    message = (
                        f"is no longer in the manifests, and stays because {remaining}, which needs it, is still there"
                    )
                    self._note(_skipped(prune.ref, Refusal("DependencyFailed", message)))
                    continue
                seen = self._readiness is not None and self._readiness.sees(prune)
                outcome = await self._delete(prune)
                if outcome is not None:
                    self._note(outcome)
                else:
                    waits.create_task(self._await_end(prune, seen=seen))

        async with asyncio.TaskGroup() as waits:
            for _ in range(min(self._width, len(wave))):
                waits.create_task(work(queue, waits))

    async def _delete(self, prune: Prune) -> Outcome | None:
        """Ask for a deletion; return what came of it, None when that is yet to be seen."""
        try:
            gone = await self._objects.delete(
                prune.kind,
                prune.ref,
                uid=prune.uid,
                owner=prune.owner,
                version=prune.version,
                propagation=prune.propagation,
                dry_run=self._dry_run,
            )
        except UidConflictError:
            return _skipped(prune.ref, _RECREATED)
        except NotOwnedError:
            return _skipped(prune.ref, _NOT_OURS)
        except KubeError as error:
            return failed(error, prune.ref, "")
        if gone or self._readiness is None or prune.propagation is Propagation.ORPHAN:
            return Outcome(prune.ref, Result.PRUNED, reason="DryRun" if self._dry_run else "", uid=prune.uid)
        return None

    async def _await_end(self, prune: Prune, *, seen: bool) -> None:
        readiness = self._readiness
        assert readiness is not None  # noqa: S101 - nobody waits without
        try:
            await self._patience.wait(prune.ref, readiness.gone(prune, seen=seen), self._seconds)
        except SupersededError:
            message = "is being deleted; its end was not awaited, because something newer was to be done"
            self._note(_skipped(prune.ref, Refusal("Superseded", message)))
        except TimeoutError:
            message = f"is still there {self._seconds:g} s after its deletion{await self._held_by(prune)}"
            self._note(Outcome(prune.ref, Result.FAILED, reason=_TIMEOUT, message=message))
        else:
            self._note(Outcome(prune.ref, Result.PRUNED, uid=prune.uid))

    async def _held_by(self, prune: Prune) -> str:
        """Say what holds an object that is being deleted."""
        try:
            finalizers = await self._objects.finalizers(prune.kind, prune.ref)
        except KubeError as error:
            return f"; what holds it is not known: {error}"
        if not finalizers:
            return ""
        named = ", ".join(finalizers)
        return f": held by metadata.finalizers {named}, which the controller that set them must remove"

    def _note(self, outcome: Outcome) -> None:
        if outcome.result is not Result.PRUNED and outcome.reason not in {"Released", "DryRun", _RECREATED.reason}:
            self._staying[outcome.ref] = None
        hides = outcome.ref in self._hidden and outcome.reason != _TIMEOUT
        self._report(withheld(outcome) if hides else outcome)


def _skipped(ref: ObjectRef, why: Refusal) -> Outcome:
    return Outcome(ref, Result.SKIPPED, reason=why.reason, message=why.message)
