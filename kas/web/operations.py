"""What people order of agents: authorized here, written with its line of the audit log, then told to who does it.

As ``kas.web.registration`` is for what is registered. What is ordered is stored before anybody is told, so an agent
that is away learns of it when it connects; commands need one that is there.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from agentlink.manifests.model import ManifestError
from agentlink.refs import digest_of
from kas.git.errors import GitError
from kas.gitops.commands import AgentNotConnectedError, CommandError, NotAnsweredError
from kas.gitops.operating import COMMAND_SECONDS, NOT_FOLLOWED, OperationError
from kas.reports.convert import PRUNE_WAITS
from kas.reports.feed import Resync
from kas.store.holds import HoldScope
from kas.store.times import utc_now
from kas.web import hold_payloads
from kas.web import operation_payloads as payloads
from kas.web.authorization import Action
from kas.web.errors import ApiError
from kas.web.payloads import object_of
from kas.web.times import time_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from datetime import datetime

    from kas.desired.agent_config import ManifestProjectConfig
    from kas.gitops.answers import Answered
    from kas.gitops.operating import Chosen, DiffStarted, Operator
    from kas.reports.feed import Feed
    from kas.store.records import AgentRecord, HoldRecord, ObjectRecord
    from kas.store.store import Store
    from kas.web.authorization import Caller
    from kas.web.guard import Guard
    from kas.web.orders import ConfirmOrder, DiffOrder, PinOrder, SuspendOrder
    from kas.web.reader import Reader

SET_CHANGED: Final = "PruneSetChanged"
"""The reason with which an agent refuses to prune others than those that were looked at."""

_AT_ONCE: Final = 4
"""Projects of one agent that are told to reconcile at the same time."""

_STATUS: Final = {
    "NotFound": HTTPStatus.NOT_FOUND,
    "RefNotFound": HTTPStatus.NOT_FOUND,
    NOT_FOLLOWED: HTTPStatus.NOT_FOUND,
    "CommitNotFound": HTTPStatus.NOT_FOUND,
    "TooManyCommands": HTTPStatus.TOO_MANY_REQUESTS,
    "NotAnswered": HTTPStatus.GATEWAY_TIMEOUT,
    "ConnectionLost": HTTPStatus.GATEWAY_TIMEOUT,
    "OutOfReach": HTTPStatus.SERVICE_UNAVAILABLE,
    "AnswerTooLarge": HTTPStatus.BAD_GATEWAY,
}

OPERATION_ERRORS: Final = (OperationError, CommandError, GitError, ManifestError)
"""What can go wrong with an order, besides what goes wrong with every request."""

_IN_CONFIG: Final = "config.yaml says suspend: true, which only a commit ends: it stays suspended as long as it does"
_AWAY: Final = "it learns of this when it connects"
_AWAY_SUSPENDED: Final = "until it connects it goes on putting back drift in the revision that it has"

log = get_logger("web")


def of_operation(error: Exception) -> ApiError:
    """Turn one of ``OPERATION_ERRORS`` into an answer."""
    reason = str(getattr(error, "reason", "")) or type(error).__name__
    match error:
        case ManifestError():
            hint = "nothing was changed; repair the manifests of this revision"
            return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, reason, str(error), hint)
        case GitError():
            default = HTTPStatus.BAD_GATEWAY if error.retryable else HTTPStatus.UNPROCESSABLE_ENTITY
            return ApiError(_STATUS.get(reason, default), reason, str(error))
        case _:
            hint = str(getattr(error, "hint", ""))
            return ApiError(_STATUS.get(reason, HTTPStatus.CONFLICT), reason, str(error), hint)


class Operations:
    """Carries out orders of callers.

    Every method raises ApiError for what the caller may not do and for what cannot be done, NotFound for what does not
    exist for them, and other StoreErrors.

    Args:
        store: keeps what lasts.
        guard: lets callers in.
        operator: reaches Git and agents.
        reader: describes agents.
        feed: told of changes.
        clock: the time; nobody else's counts.
    """

    def __init__(
        self,
        *,
        store: Store,
        guard: Guard,
        operator: Operator,
        reader: Reader,
        feed: Feed,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._guard = guard
        self._operator = operator
        self._reader = reader
        self._feed = feed
        self._clock = clock

    async def suspend(self, caller: Caller, agent_id: int, order: SuspendOrder) -> payloads.Ordered:
        """Suspend a project, or all of an agent."""
        agent = await self._allowed(caller, agent_id, _attempt(order.project, "suspend"))
        scope, config = await self._scope(agent, order.project)
        hold = await self._store.holds.suspend(scope, until=order.until, reason=order.reason, by=caller.actor)
        log.info("Suspended", agent_id=agent.id, project=order.project, until=order.until)
        notes = [_IN_CONFIG] if config is not None and config.suspend else []
        return await self._changed(agent, order.project, hold, notes, _AWAY_SUSPENDED)

    async def resume(self, caller: Caller, agent_id: int, project: str | None) -> payloads.Ordered:
        """End a suspension."""
        agent = await self._allowed(caller, agent_id, _attempt(project, "resume"))
        scope, config = await self._scope(agent, project)
        hold = await self._store.holds.resume(scope, by=caller.actor)
        notes = [_IN_CONFIG] if config is not None and config.suspend else []
        holding = hold_payloads.suspended(await self._store.holds.in_force(agent.id))
        if project is not None and holding is not None:
            notes.append(
                f"the whole agent is suspended by {holding['by']}: `kas resume --agent {agent.name}` ends that"
            )
        if hold is None:
            what = f"project {project} on agent {agent.name}" if project else f"agent {agent.name} as a whole"
            message = f"{what} is not suspended by anybody"
            raise ApiError(HTTPStatus.CONFLICT, "NotSuspended", message, "; ".join(notes))
        log.info("Resumed", agent_id=agent.id, project=project)
        return await self._changed(agent, project, hold, notes, _AWAY)

    async def pin(self, caller: Caller, agent_id: int, order: PinOrder) -> payloads.Ordered:
        """Pin a project to an earlier commit."""
        agent = await self._allowed(caller, agent_id, "project.pin")
        try:
            config = await self._operator.project(agent, order.project)
            commit = await self._operator.earlier(agent, config, order.commit)
        except OPERATION_ERRORS as error:
            raise of_operation(error) from error
        project_id = await self._store.projects.id_of(order.project)
        scope = HoldScope(agent.id, project_id)
        hold = await self._store.holds.pin(scope, commit=commit, reason=order.reason, by=caller.actor)
        log.info("Pinned", agent_id=agent.id, project=order.project, commit_id=commit)
        notes = [_IN_CONFIG] if config.suspend else []
        held = hold_payloads.holding(project_id, await self._store.holds.in_force(agent.id))["suspension"]
        if held is not None:
            notes.append(f"it is suspended by {held['by']}: nothing is applied before that ends")
        return await self._changed(agent, order.project, hold, notes, _AWAY)

    async def unpin(self, caller: Caller, agent_id: int, project: str) -> payloads.Ordered:
        """Let a project follow its ref again."""
        agent = await self._allowed(caller, agent_id, "project.unpin")
        scope, _ = await self._scope(agent, project)
        hold = await self._store.holds.unpin(scope, by=caller.actor)
        if hold is None:
            message = f"project {project} on agent {agent.name} is not pinned"
            raise ApiError(HTTPStatus.CONFLICT, "NotPinned", message, "`kas history` shows pins that are over")
        log.info("Unpinned", agent_id=agent.id, project=project)
        return await self._changed(agent, project, hold, [], _AWAY)

    async def reconcile(self, caller: Caller, agent_id: int, paths: Sequence[str]) -> list[payloads.Reconciled]:
        """Have projects synced anew, all of the agent where none is named."""
        agent = await self._allowed(caller, agent_id, "project.reconcile")
        try:
            if paths:
                projects = [await self._operator.project(agent, path) for path in paths]
            else:
                projects = list(await self._operator.projects(agent))
        except OperationError as error:
            raise of_operation(error) from error
        names = ", ".join(project.project for project in projects)
        await self._note(caller, agent, "project.reconcile", f"projects {names}")
        turns, until = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop().time() + COMMAND_SECONDS
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._reconcile_one(agent, project, turns, until)) for project in projects]
        results = [task.result() for task in asked]
        if results and all(result["reason"] == AgentNotConnectedError.reason for result in results):
            raise of_operation(AgentNotConnectedError(results[0]["message"]))
        return results

    async def overtaken(self, caller: Caller, agent_id: int, project: str, commit: str) -> payloads.Overtaken:
        """Tell whether an agent has a newer revision instead of a commit that it was never sent."""
        agent = await self._guard.agent(caller, agent_id)
        await self._scope(agent, project)
        by = await self._operator.overtaking(agent, project, commit)
        return payloads.Overtaken(project=project, commit=commit, by=by)

    async def waiting_prune(self, caller: Caller, agent_id: int, project: str) -> payloads.WaitingPrune:
        """Return the objects whose prune waits for a confirmation."""
        agent = await self._guard.agent(caller, agent_id)
        scope, _ = await self._scope(agent, project)
        waiting = await self._waiting(scope)
        digest = digest_of(record.object for record in waiting).hex()
        return payloads.WaitingPrune(project=project, digest=digest, objects=[object_of(one) for one in waiting])

    async def confirm_prune(self, caller: Caller, agent_id: int, order: ConfirmOrder) -> payloads.Confirmed:
        """Have the prune that waits carried out, if it still is the one that was looked at."""
        agent = await self._allowed(caller, agent_id, "project.confirm-prune")
        scope, _ = await self._scope(agent, order.project)
        waiting = await self._waiting(scope)
        if not waiting:
            message = f"no prune of project {order.project} on agent {agent.name} waits for a confirmation"
            raise ApiError(HTTPStatus.CONFLICT, "NothingWaits", message)
        if digest_of(record.object for record in waiting) != order.digest:
            raise _set_changed(order.project)
        # Before it is sent: an agent that prunes and does not say so must not leave the log empty.
        shown = ", ".join(str(record.object) for record in waiting)
        await self._note(caller, agent, "project.confirm-prune", f"project {order.project}", f": {shown}")
        project_id = scope.project_id or 0
        try:
            answer = await self._operator.confirm_prune(agent, project_id, order.digest)
        except OPERATION_ERRORS as error:
            raise of_operation(error) from error
        if answer.reason == SET_CHANGED:
            await self._forget_waiting(agent, project_id, answer)
            raise _set_changed(order.project)
        if answer.reason:
            raise ApiError(HTTPStatus.CONFLICT, answer.reason, answer.message or answer.reason)
        log.info("Prune confirmed", agent_id=agent.id, project=order.project, objects=len(waiting))
        return payloads.Confirmed(project=order.project, objects=len(waiting), message=answer.message)

    async def diff(
        self, caller: Caller, agent_id: int, order: DiffOrder
    ) -> AsyncGenerator[tuple[ManifestProjectConfig, DiffStarted | Answered], None]:
        """Yield what a revision would change, one project after another.

        What goes wrong on the way is one of ``OPERATION_ERRORS``.
        """
        agent = await self._allowed(caller, agent_id, "project.diff")
        if order.project is not None:
            projects = [await self._operator.project(agent, order.project)]
        else:
            projects = list(await self._operator.projects(agent))
            if order.ref is not None and len(projects) != 1:
                names = ", ".join(project.project for project in projects[:10]) or "none"
                hint = f"the agent's projects are: {names}"
                raise OperationError("ProjectNeeded", "a ref is one of a project: say of which", hint)
        for project in projects:
            chosen = await self._chosen(caller, agent, project, order.ref)
            parts = self._operator.diff(agent, project, chosen, within=order.within)
            async with aclosing(parts):
                async for part in parts:
                    yield project, part

    async def _chosen(
        self, caller: Caller, agent: AgentRecord, project: ManifestProjectConfig, ref: str | None
    ) -> Chosen:
        """Return the revision that a caller may look at, audited before anything of it is read."""
        anywhere = caller.may(Action.SEE_ANY_COMMIT, agent.project)
        try:
            chosen = await self._operator.choose(agent, project, ref, anywhere=anywhere)
        except OperationError as error:
            if error.reason == NOT_FOLLOWED:
                what = _on(agent, f"project {project.project}, commit {ref}")
                await self._guard.refused(caller, agent.project, "project.diff", what, str(error))
            raise
        await self._note(
            caller, agent, "project.diff", f"project {project.project}, commit {chosen.commit}, {chosen.found},"
        )
        return chosen

    async def _reconcile_one(
        self, agent: AgentRecord, project: ManifestProjectConfig, turns: asyncio.Semaphore, until: float
    ) -> payloads.Reconciled:
        """Tell of one project, of many that take turns and have the same time."""
        path = project.project
        at = time_of(self._clock())
        async with turns:
            project_id = await self._store.projects.id_of(path)
            within = until - asyncio.get_running_loop().time()
            try:
                if within <= 0:
                    raise NotAnsweredError("the agent answered none of those before it in time")
                answer = await self._operator.reconcile(agent, project_id, within=within)
            except CommandError as error:
                return payloads.Reconciled(project=path, at=at, reason=error.reason, message=str(error))
        return payloads.Reconciled(project=path, at=at, reason=answer.reason, message=answer.message)

    async def _waiting(self, scope: HoldScope) -> list[ObjectRecord]:
        found = await self._store.objects.list(scope.agent_id, scope.project_id)
        return [record for record in found if record.result == "skipped" and record.reason == PRUNE_WAITS]

    async def _forget_waiting(self, agent: AgentRecord, project_id: int, answer: Answered) -> None:
        """Believe the agent which objects wait, where it says so; one that tells none leaves what is on record."""
        waiting = {found.object for found in answer.objects}
        if waiting:
            await self._store.objects.forget_waiting(agent.id, project_id, reason=PRUNE_WAITS, waiting=waiting)

    async def _allowed(self, caller: Caller, agent_id: int, attempt: str) -> AgentRecord:
        agent = await self._guard.agent(caller, agent_id)
        what = f"agent {agent.project}:{agent.name} (id {agent.id})"
        await self._guard.authorize(caller, Action.OPERATE, agent.project, attempt, what)
        return agent

    async def _note(self, caller: Caller, agent: AgentRecord, action: str, what: str, more: str = "") -> None:
        subject = f"{_on(agent, what)}{more}"
        await self._store.audit.done(caller.actor, action, project=agent.project, subject=subject)

    async def _scope(self, agent: AgentRecord, project: str | None) -> tuple[HoldScope, ManifestProjectConfig | None]:
        """Return what an order is about, and how the agent's configuration has it where it still does."""
        if project is None:
            return HoldScope(agent.id, None), None
        try:
            config = await self._operator.project(agent, project)
        except OperationError as error:
            scope = await self._met(agent, project)
            if scope is None:
                raise of_operation(error) from error
            return scope, None
        return HoldScope(agent.id, await self._store.projects.id_of(project)), config

    async def _met(self, agent: AgentRecord, project: str) -> HoldScope | None:
        """Return a project that the agent had once, or whose configuration cannot be read now."""
        ids = [record.id for record in await self._store.projects.list() if record.path == project]
        if not ids:
            return None
        scope = HoldScope(agent.id, ids[0])
        held = [hold for hold in await self._store.holds.in_force(agent.id) if hold.project_id == ids[0]]
        return scope if held or await self._store.syncs.list(agent.id, ids[0], limit=1) else None

    async def _changed(
        self, agent: AgentRecord, project: str | None, hold: HoldRecord, notes: list[str], away: str
    ) -> payloads.Ordered:
        await self._operator.holds_changed(agent)
        self._feed.publish([Resync()])
        (described,) = await self._reader.describe([agent])
        if described["status"] != "connected":
            notes = [*notes, f"agent {agent.name} is not connected: {away}"]
        return payloads.ordered(described, project, hold, self._clock(), notes)


def _on(agent: AgentRecord, what: str) -> str:
    return f"{what} on agent {agent.project}:{agent.name} (id {agent.id})"


def _attempt(project: str | None, verb: str) -> str:
    return f"{'agent' if project is None else 'project'}.{verb}"


def _set_changed(project: str) -> ApiError:
    message = f"other objects of project {project} wait for a confirmation than those that were looked at"
    return ApiError(HTTPStatus.CONFLICT, SET_CHANGED, message, "nothing was pruned; look at them and confirm again")
