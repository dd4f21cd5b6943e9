"""One candidacy: does what ``election`` says, tells it what came of it, and opens and closes the guard accordingly."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentk.kube.errors import KubeError
from agentk.leadership.election import Election, Read, Renew, Take, Wait
from agentk.leadership.guard import Guard
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentk.kube.lease import Leases
    from agentk.leadership.election import Step, Term, Timing

ROLE: Final = "gitlab-agent-leader-election"
"""The Role that `kas generate` and the chart write for leases."""

VERBS: Final = ("get", "create", "patch", "watch")
"""What is done with a lease."""

_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409

_NEWS_SECONDS: Final = 2.0
"""How long the API server may be away before that is news; as for the watches."""

_WATCH_AGAIN_SECONDS: Final = 30.0
"""How often a watch that was refused is tried again; until then the lease is looked at every few seconds."""

_RELEASE_SECONDS: Final = 3.0

log = logs.get_logger("leadership")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nobody can be elected here. ``reason`` is a CamelCase word, ``message`` says what to do."""

    reason: str
    message: str


class Campaign:
    """Stands for one agent's lease. ``changed`` is called whenever one of the attributes below did.

    Attributes:
        guard: That of the term which has begun and not ended; None without one.
        leader: Who else has the lease, as far as is known; empty if nobody.
        trouble: Why it can be neither taken nor renewed.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        agent_id: int,
        identity: str,
        timing: Timing,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.guard: Guard | None = None
        self.leader = ""
        self.trouble: Trouble | None = None
        self._leases = leases
        self._agent_id = agent_id
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._changed = changed
        self._election = Election(identity, timing)
        self._term: Term | None = None
        self._failing_since: float | None = None
        self._looked = asyncio.Event()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Take part, for ever."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(), name="watch-lease")
            try:
                while True:
                    await self._go_on()
            finally:
                watching.cancel()

    def resign(self) -> None:
        """End the term, before the lease is given back."""
        if self.guard is not None:
            self.guard.end()
            self.guard = None
            self._changed()

    async def release(self) -> None:
        """Give the lease back if it is ours, so that nobody waits until it runs out; nothing may write any more."""
        lease = self._election.lease
        if self._election.term is None or lease is None:
            return
        self._election.abandon()
        # Where this fails, it runs out.
        with suppress(KubeError):
            await self._leases.release(lease, within=_RELEASE_SECONDS)

    async def _go_on(self) -> None:
        step = self._election.step(self._clock())
        if isinstance(step, Wait):
            await self._sleep(step.until - self._clock())
            return
        try:
            await self._do(step)
        except KubeError as error:
            self._failed(step, error)
        else:
            self._failing_since, self.trouble = None, None
        self._looked.set()
        self._settle()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    async def _do(self, step: Step) -> None:
        """Send one request and take in its answer. What it says is counted from before it left."""
        asked_at, within = self._clock(), self._timing.deadline / 2
        match step:
            case Read():
                lease = await self._leases.read(within=within)
                self._election.saw(lease, self._clock())
            case Take(before, transitions):
                taken = await self._leases.take(
                    before, self._identity, seconds=self._timing.seconds, transitions=transitions, within=within
                )
                self._election.took(taken, asked_at, self._clock())
            case Renew(before):
                renewed = await self._leases.renew(before, within=within)
                self._election.renewed(renewed, asked_at, self._clock())

    def _failed(self, step: Step, error: KubeError) -> None:
        now = self._clock()
        if error.status == _CONFLICT:
            self._election.conflicted(now)
            return
        if error.status == _NOT_FOUND and isinstance(step, Renew | Take) and step.before is not None:
            self._election.saw(None, now)
            return
        self._election.failed(now)
        if self._failing_since is None:
            self._failing_since = now
        if error.status == _FORBIDDEN and now >= self._election.open_until:
            # People took the right away, and only people can give it back.
            self._election.abandon()
        if error.status == _FORBIDDEN or now - self._failing_since >= _NEWS_SECONDS:
            trouble = self._explain(error)
            if trouble != self.trouble:
                log.error("No lease can be had, so nothing is written", reason=trouble.reason, why=trouble.message)
            self.trouble = trouble

    def _explain(self, error: KubeError) -> Trouble:
        if error.status == _FORBIDDEN:
            where = f"leases.coordination.k8s.io in namespace {self._leases.namespace}"
            return Trouble(
                "LeaseForbidden",
                f"agentk writes nothing without a lease, and has not every right it needs on {where}: {error.message};"
                f" grant {', '.join(VERBS)} there by the Role {ROLE}, which `kas generate` and the Helm chart write",
            )
        if error.status == 0:
            return Trouble(f"ApiServer{error.reason}", str(error))
        return Trouble(f"Lease{error.reason}", f"lease {self._leases.namespace}/{self._leases.name}: {error}")

    def _settle(self) -> None:
        """Let the outside follow the election."""
        election = self._election
        if self.guard is not None and election.term != self._term:
            log.warning("This replica no longer leads", leader=election.other or "nobody yet")
            self.guard.end()
            self.guard = None
        if election.term is not None:
            if self.guard is None:
                self.guard, self._term = Guard(self._agent_id, clock=self._clock), election.term
                log.info("This replica leads", identity=self._identity, lease=self._leases.name)
            self.guard.extend(election.open_until)
            self.guard.hinder(self.trouble.message if self.trouble is not None else "")
        if election.other and election.other != self.leader:
            log.info("Another replica leads; standing by", leader=election.other, lease=self._leases.name)
        self.leader = election.other
        self._changed()

    async def _watch(self) -> None:
        """Learn of changes as they happen: whoever waits takes over at once, whoever lost it stops at once."""
        await self._looked.wait()
        told = ""
        while True:
            pause = self._timing.retry
            try:
                async with aclosing(self._leases.changes()) as changes:
                    async for lease in changes:
                        self._election.saw(lease, self._clock())
                        self._settle()
                        self._news.set()
            except KubeError as error:
                if error.status == _FORBIDDEN:
                    pause = _WATCH_AGAIN_SECONDS
                    if told != error.message:
                        told, why = error.message, self._explain(error).message
                        log.warning("May not watch the lease: a replica takes over later than it could", why=why)
            await asyncio.sleep(pause)
