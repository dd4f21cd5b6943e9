"""Noticing that the cluster begins, or ceases, to serve kinds that some project waits for.

Nothing is asked while nobody waits. From the first time on, definitions and API services are watched, metadata only,
where that is allowed; the API server's discovery, which follows them a moment later, is what counts and is asked at
growing intervals for as long as somebody waits. An agent that may not watch them learns of a kind by asking alone.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, Protocol

from agentk.apply.model import Kind
from agentk.kube.errors import KubeError
from agentk.kube.watch import Gone, Interrupted, Synced, Unserved, Upsert, Watch
from agentlink import logs

if TYPE_CHECKING:
    from agentk.kube.client import KubeClient
    from agentk.kube.discovery import Discovery

log = logs.get_logger("kinds")

_SOURCES: Final = (
    Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False),
    Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False),
)
"""What makes kinds served."""

_FORBIDDEN: Final = 403
_FIRST_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 60.0
"""Between two questions: a definition is served a moment after it has changed, and some kinds never are."""


class Listener(Protocol):
    """Who may wait for a kind."""

    @property
    def waits_for_kinds(self) -> bool:
        """Whether it waits for some kind to be served."""

    def kinds_changed(self) -> None:
        """The cluster serves something else than before: look at ``Discovery``."""


class ServedKinds:
    """Keeps discovery up to date while a listener waits for a kind, and tells all of them of every change."""

    def __init__(self, kube: KubeClient, discovery: Discovery, tasks: asyncio.TaskGroup) -> None:
        self._kube = kube
        self._discovery = discovery
        self._group = tasks
        self._running: list[asyncio.Task[None]] = []
        self._listeners: list[Listener] = []
        self._news = asyncio.Event()
        self._told = -1

    def register(self, listener: Listener) -> None:
        """Tell this one of every change."""
        self._listeners.append(listener)

    def unregister(self, listener: Listener) -> None:
        """Tell it no more."""
        self._listeners.remove(listener)

    def expect(self) -> None:
        """Take note that somebody waits from now on, and look at once."""
        self._news.set()
        if not self._running:
            create = self._group.create_task
            self._running = [create(self._follow(kind), name=f"watch-{kind.kind}") for kind in _SOURCES]
            self._running.append(create(self._look(), name="served-kinds"))

    def stop(self) -> None:
        """End the watches."""
        for task in self._running:
            task.cancel()

    async def _follow(self, kind: Kind) -> None:
        async with aclosing(Watch(self._kube, kind).events()) as events:
            async for event in events:
                match event:
                    case Interrupted(error) if error.status == _FORBIDDEN:
                        log.debug("What serves kinds may not be watched; it is asked for", kind=kind.kind)
                        return
                    case Upsert() | Gone() | Synced():
                        self._news.set()
                    case Interrupted() | Unserved():
                        pass

    async def _look(self) -> None:
        pause = _FIRST_SECONDS
        while True:
            waits = any(listener.waits_for_kinds for listener in self._listeners)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if waits else None):
                    await self._news.wait()
                    pause = _FIRST_SECONDS
            self._news.clear()
            if not any(listener.waits_for_kinds for listener in self._listeners):
                continue
            with suppress(KubeError):
                await self._discovery.refresh()
            # Others ask as well: what counts is what the listeners have been told of.
            if self._discovery.generation != self._told:
                self._told = self._discovery.generation
                for listener in tuple(self._listeners):
                    listener.kinds_changed()
            pause = min(pause * 2, _LONGEST_SECONDS)
