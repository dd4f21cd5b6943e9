"""The first half of carrying out a plan: stage by stage, each apply when what it needs has come so far.

All choices were made by ``staging``; here they are only waited for. How one object is applied is ``applying``'s.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from agentk.apply.applying import apply_one, failed
from agentk.apply.filling import Filling, may_tell_secrets, withheld
from agentk.apply.model import Outcome, Refusal, Result, Until
from agentk.apply.needs import home_of
from agentk.apply.rules.depend import failed as dependency_failed
from agentk.apply.waiting import STOPPED, SupersededError, superseded
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from agentk.apply.bounds import Bounds
    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Apply, Desired, Kind, Need, Stage
    from agentk.apply.serving import Serving
    from agentk.apply.waiting import Patience, Readiness
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef

_NOT_THERE: Final = frozenset({"NotFound", "NamespaceNotFound"})
"""How an object is refused whose Namespace or kind is yet to be there."""


class Applies:
    """One run of a plan's stages.

    Without ``readiness`` nobody waits for health: in a rehearsal nothing becomes healthy.
    """

    def __init__(
        self,
        objects: Objects,
        kinds: Kinds,
        readiness: Readiness | None,
        patience: Patience,
        *,
        serving: Serving,
        body_of: Callable[[Desired], bytes],
        bounds: Bounds | None,
        report: Callable[[Outcome], None],
        seconds: float,
        width: int,
        dry_run: bool,
    ) -> None:
        """Make a run.

        Args:
            objects: The cluster.
            kinds: What is served now.
            readiness: To wait for health.
            patience: How long, and whether still.
            serving: To wait for kinds.
            body_of: Tells what is sent for an object.
            bounds: What one that is filled may take and become.
            report: Told of each outcome.
            seconds: How long an object may take to become healthy; 0: as long as it takes.
            width: Requests in flight or waiting for their turn.
            dry_run: Whether the server is to store nothing.
        """
        self._objects = objects
        self._filling = Filling.of(objects, kinds, bounds, rehearsal=dry_run)
        self._serving = serving
        self._body_of = body_of
        self._readiness = readiness
        self._patience = patience
        self._report = report
        self._seconds = seconds
        self._width = width
        self._dry_run = dry_run
        self._awaited: dict[ObjectRef, asyncio.Event] = {}
        self._broken: dict[ObjectRef, Refusal] = {}

    async def run(self, stages: Sequence[Stage]) -> bool:
        """Apply everything; tell whether all of it succeeded."""
        actions = {action.desired.ref for stage in stages for action in stage.actions}
        needed = {need.ref for stage in stages for action in stage.actions for need in action.after}
        self._awaited = {ref: asyncio.Event() for ref in needed & actions}
        for wave in _waves(stages):
            why = await self._closed(wave[0].gate)
            if why is not None:
                self._skip((action for stage in wave for action in stage.actions), why)
                continue
            async with asyncio.TaskGroup() as late:
                for stage in wave:
                    await self._run_stage(stage, late)
        return not self._broken

    async def _run_stage(self, stage: Stage, late: asyncio.TaskGroup) -> None:
        for needs, actions in _by_needs(stage.late).items():
            late.create_task(self._when_met(needs, actions))
        waiting = [action for action in stage.applies if action.after and _waits(action)]
        at_once = [action for action in stage.applies if not (action.after and _waits(action))]
        async with asyncio.TaskGroup() as group:
            for needs, actions in _by_needs(waiting).items():
                group.create_task(self._when_met(needs, actions))
            group.create_task(self._apply_all(at_once))

    async def _when_met(self, key: tuple[tuple[Need, ...], Kind | None], actions: Sequence[Apply]) -> None:
        """Apply what needs the same, when that has come so far."""
        needs, kind = key
        why = await _first([self._unmet(need, kind) for need in needs])
        if why is not None:
            self._skip(actions, why)
        else:
            await self._apply_all(actions)

    async def _apply_all(self, actions: Sequence[Apply]) -> None:
        queue = iter(actions)

        async def work(queue: Iterator[Apply]) -> None:
            for action in queue:
                if self._patience.stopped:
                    self._skip((action,), STOPPED)
                    continue
                failed = [need.ref for need in action.after if need.ref in self._broken] if action.after else None
                if failed:
                    self._skip((action,), dependency_failed(failed[0]))
                    continue
                self._note(await self._apply(action))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._width, len(actions))):
                group.create_task(work(queue))

    async def _apply(self, action: Apply) -> Outcome:
        ordering = action.desired.ordering
        if ordering is None or not ordering.mutations:
            return await self._apply_or_try(action)
        desired = action.desired
        if self._dry_run and any(one.source in self._awaited for one in ordering.mutations):
            result = Result.CREATED if action.live_version is None else Result.CONFIGURED
            return Outcome(desired.ref, result, desired.path, "DryRun")
        try:
            filled = await self._filling.fill(action, self._body_of(desired))
        except KubeError as error:
            return failed(error, desired.ref, desired.path)
        if isinstance(filled, Outcome):
            return filled
        return await self._apply_or_try(filled)

    async def _apply_or_try(self, action: Apply) -> Outcome:
        body = self._body_of(action.desired)
        outcome = await apply_one(self._objects, action, body, dry_run=self._dry_run)
        outcome = withheld(outcome) if may_tell_secrets(action) else outcome
        if self._dry_run and outcome.result is Result.FAILED and outcome.reason in _NOT_THERE:
            home = home_of(action.desired.ref.namespace)
            coming = (need.ref for need in action.after if need.ref == home or need.until is Until.SERVED)
            missing = next((ref for ref in coming if ref in self._awaited), None)
            if missing is not None:
                message = f"could not be tried, because it needs {missing}, which would be created before"
                return Outcome(action.desired.ref, Result.CREATED, action.desired.path, "DryRun", message)
        return outcome

    async def _unmet(self, need: Need, kind: Kind | None) -> Refusal | None:
        """Wait for a need; return why it will not be met, None when it is."""
        ended = self._awaited.get(need.ref)
        if ended is not None:
            await ended.wait()
        if need.ref in self._broken:
            return dependency_failed(need.ref)
        if self._dry_run:
            return None
        if need.until is Until.SERVED and kind is not None and not await self._serving.serves(kind):
            message = f"{kind.api_version} {kind.kind} is not served; see its CustomResourceDefinition"
            return Refusal("KindNotServed", message)
        if need.until is Until.HEALTHY:
            return await self._unhealthy(need.ref)
        return None

    async def _unhealthy(self, ref: ObjectRef) -> Refusal | None:
        """Wait for an object's health; return why it is not, None when it is."""
        readiness = self._readiness
        if readiness is None:
            return None
        readiness.begin()
        try:
            why = await self._patience.wait(ref, readiness.healthy(ref), self._seconds)
        except SupersededError:
            return superseded(ref)
        except TimeoutError:
            told = readiness.told(ref)
            message = f"waits for {ref}, which is not healthy after {self._seconds:g} s{told and ': '}{told}"
            return Refusal("DependencyTimeout", message)
        if why is not None:
            return Refusal("DependencyFailed", f"waits for {ref}, which {why.message}")
        return None

    async def _closed(self, gate: Sequence[ObjectRef]) -> Refusal | None:
        """Wait until a wave may begin; return why it may not."""
        if not gate or self._dry_run:
            return None
        if self._broken:
            ref, why = next(iter(self._broken.items()))
            return why if why.reason == "Superseded" else dependency_failed(ref)
        open_ = gate if self._readiness is None else self._readiness.unsettled(gate)
        return await _first([self._unhealthy(ref) for ref in open_])

    def _skip(self, actions: Iterable[Apply], why: Refusal) -> None:
        result = Result.FAILED if why.reason == "KindNotServed" else Result.SKIPPED
        for action in actions:
            ref = action.desired.ref
            self._broken[ref] = why
            self._note(Outcome(ref, result, action.desired.path, why.reason, why.message))

    def _note(self, outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            self._broken[outcome.ref] = Refusal(outcome.reason, outcome.message)
        self._report(outcome)
        ended = self._awaited.get(outcome.ref)
        if ended is not None:
            ended.set()


async def _first(checks: Sequence[Coroutine[None, None, Refusal | None]]) -> Refusal | None:
    """Run checks side by side until one refuses; return what it says, None when none does."""
    found: list[Refusal] = []
    tasks: list[asyncio.Task[None]] = []

    async def run(check: Coroutine[None, None, Refusal | None]) -> None:
        why = await check
        if why is not None and not found:
            found.append(why)
            for task in tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    async with asyncio.TaskGroup() as group:
        tasks.extend(group.create_task(run(check)) for check in checks)
    return found[0] if found else None


def _waves(stages: Sequence[Stage]) -> list[list[Stage]]:
    waves: list[list[Stage]] = []
    for stage in stages:
        if stage.gate or not waves:
            waves.append([])
        waves[-1].append(stage)
    return waves


def _waits(action: Apply) -> bool:
    """Tell whether an apply of a stage has to wait for more than the stages before."""
    return any(need.until is not Until.APPLIED for need in action.after)


def _by_needs(actions: Iterable[Apply]) -> dict[tuple[tuple[Need, ...], Kind | None], list[Apply]]:
    """Put together what waits for the same."""
    found: defaultdict[tuple[tuple[Need, ...], Kind | None], list[Apply]] = defaultdict(list)
    for action in actions:
        served = any(need.until is Until.SERVED for need in action.after)
        found[action.after, action.desired.kind if served else None].append(action)
    return found
