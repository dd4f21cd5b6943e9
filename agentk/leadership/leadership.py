"""Takes part in the election of the replica that writes, for as long as the program runs, and says who leads.

The lease is named by the agent's id and lies where agentk runs, so that all replicas of an agent mean the same one.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentk.kube.lease import Leases
from agentk.leadership.campaign import Campaign
from agentk.leadership.guard import now
from agentk.leadership.identity import identity_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentk.kube.client import KubeClient
    from agentk.leadership.campaign import Trouble
    from agentk.leadership.election import Timing
    from agentk.leadership.guard import Guard

OUTSIDE: Final = "default"
"""The namespace of the lease of an agentk that runs outside a cluster."""

_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_LEAVE_SECONDS: Final = 5.0
"""How long the work of a term that has ended may take to end before the lease is left to run out instead."""


def lease_namespace(pod_namespace: str) -> str:
    """Return where the lease of an agentk lies: its pod's namespace, its service account's, or ``default``."""
    if pod_namespace:
        return pod_namespace
    with suppress(OSError, UnicodeDecodeError):
        return _ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip() or OUTSIDE
    return OUTSIDE


class Leadership:
    """This replica's part in electing the one that writes."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        namespace: str,
        pod_name: str,
        timing: Timing,
        on_trouble: Callable[[Trouble | None], None],
        clock: Callable[[], float] = now,
    ) -> None:
        """Prepare to stand.

        Args:
            kube: The cluster.
            namespace: Where the lease lies.
            pod_name: What people know this replica by; empty for the machine's name.
            timing: How long a lease lasts.
            on_trouble: Called when it is news that nobody can be elected here, and with None when that is over.
            clock: Seconds on a clock that never goes back.
        """
        self._kube = kube.apart()
        self._namespace = namespace
        self._pod_name = pod_name
        self._timing = timing
        self._on_trouble = on_trouble
        self._clock = clock
        self._agent_id: int | None = None
        self._named = asyncio.Event()
        self._campaign: Campaign | None = None
        self._told: Trouble | None = None
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def leading(self) -> bool:
        """Tell whether this replica may write now."""
        guard = self._campaign.guard if self._campaign is not None else None
        return guard is not None and guard.is_open()

    @property
    def leader(self) -> str:
        """Return which other replica leads, as far as is known; empty if none does."""
        return self._campaign.leader if self._campaign is not None else ""

    @property
    def trouble(self) -> Trouble | None:
        """Return why nobody can be elected here."""
        return self._campaign.trouble if self._campaign is not None else None

    @property
    def may_report(self) -> bool:
        """Tell whether kas is to hear of syncs from this replica: it leads, or knows why nobody does."""
        return self.leading or (self.trouble is not None and not self.leader)

    def stand(self, agent_id: int) -> None:
        """Stand for election among the replicas of this agent, which kas says we are."""
        if agent_id != self._agent_id:
            self._agent_id = agent_id
            self._named.set()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Take part while the context lasts; leaving it gives the lease back."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._run(), name="leadership")
            try:
                yield
            finally:
                task.cancel()

    @asynccontextmanager
    async def term(self) -> AsyncIterator[Guard]:
        """Wait until this replica leads, and yield the guard of its term.

        The context is to be left when the term has ended, and once it is, nothing may be writing any more.
        """
        while self._campaign is None or (guard := self._campaign.guard) is None or guard.is_over:
            await self._news.wait()
        self._idle.clear()
        try:
            yield guard
        finally:
            self._idle.set()

    async def _run(self) -> None:
        while True:
            await self._named.wait()
            self._named.clear()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self._stand(self._agent_id or 0), name="campaign")
                try:
                    await self._named.wait()
                finally:
                    task.cancel()

    async def _stand(self, agent_id: int) -> None:
        leases = Leases(self._kube, self._namespace, f"agentk-{agent_id}")
        with identity_for(f"{self._kube.host} {leases.namespace}/{leases.name}", pod_name=self._pod_name) as identity:
            campaign = self._campaign = Campaign(
                leases,
                agent_id=agent_id,
                identity=identity,
                timing=self._timing,
                clock=self._clock,
                changed=self._changed,
            )
            try:
                await campaign.run()
            finally:
                campaign.resign()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVE_SECONDS):
                        await self._idle.wait()
                        await campaign.release()

    def _changed(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        told = self.trouble if self.may_report or self.trouble is None else self._told
        if told != self._told:
            self._told = told
            self._on_trouble(told)
