"""Waiting until the API server serves the kinds that CustomResourceDefinitions have just defined."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from agentk.apply.model import Kind
    from agentk.kube.discovery import Discovery

_FIRST_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 0.5


class Serving:
    """Asks discovery again until a kind is there: one that asks, however many wait."""

    def __init__(self, discovery: Discovery, seconds: float) -> None:
        """Make one for one run.

        Args:
            discovery: What the cluster serves.
            seconds: How long to wait for a kind.
        """
        self._discovery = discovery
        self._seconds = seconds
        self._asking = asyncio.Lock()
        self._pause = _FIRST_POLL_SECONDS

    async def serves(self, kind: Kind) -> bool:
        """Wait until a kind is served in its version; tell whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while not self._is_served(kind):
                    await self._ask(kind)
        return self._is_served(kind)

    def _is_served(self, kind: Kind) -> bool:
        return self._discovery.find(kind.group, kind.kind, kind.version) == kind

    async def _ask(self, kind: Kind) -> None:
        async with self._asking:
            if self._is_served(kind):
                return
            # A server under load may refuse now and then; the deadline is what decides.
            with suppress(KubeError):
                await self._discovery.refresh()
            if not self._is_served(kind):
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, _LONGEST_POLL_SECONDS)
