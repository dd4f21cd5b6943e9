"""The cluster's autoscalers, and what each scales: one watch for all projects, begun when one has something to scale.

Without the right to list them, only autoscalers in the same revision are known; the log says so once in a while. An
agent that may not look at the whole cluster looks at the namespaces that its projects have such objects in.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

from agentk.apply.rules.autoscale import GROUP, KIND, scaled_by
from agentk.gitops.following import Following
from agentk.kube.errors import KubeError
from agentk.kube.watch import Gone, Interrupted, Synced, Unserved, Upsert, Watch
from agentlink import logs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from agentk.kube.client import KubeClient
    from agentk.kube.discovery import Discovery
    from agentlink.refs import ObjectRef

log = logs.get_logger("autoscalers")

_VERSION: Final = "v2"
_FORBIDDEN: Final = 403
_ASK_AGAIN_SECONDS: Final = 600.0
"""How long a refusal is taken for an answer; somebody may extend the role meanwhile."""


class Listener(Protocol):
    """Who wants to know."""

    def scaled(self, ref: ObjectRef) -> None:
        """An object has an autoscaler from now on, or none any more: look at ``Autoscalers.by_target``."""


class Autoscalers:
    """Owns the watches."""

    def __init__(self, kube: KubeClient, discovery: Discovery, tasks: asyncio.TaskGroup) -> None:
        self._kube = kube
        self._discovery = discovery
        self._tasks = tasks
        self._targets: dict[ObjectRef, ObjectRef] = {}
        self._scalers: defaultdict[ObjectRef, set[ObjectRef]] = defaultdict(set)
        self._by_target: dict[ObjectRef, ObjectRef] = {}
        self._followed: dict[str, Following] = {}
        self._refused: dict[str, float] = {}
        self._listeners: list[Listener] = []

    @property
    def by_target(self) -> Mapping[ObjectRef, ObjectRef]:
        """Return the autoscalers, by what they scale."""
        return self._by_target

    def register(self, listener: Listener) -> None:
        """Tell this one of every change."""
        self._listeners.append(listener)

    def unregister(self, listener: Listener) -> None:
        """Tell it no more."""
        self._listeners.remove(listener)

    def stop(self) -> None:
        """End the watches."""
        for following in self._followed.values():
            following.stop()

    async def ensure(self, namespaces: Iterable[str]) -> None:
        """Return when the autoscalers of these namespaces are known, as far as they may be.

        Raises:
            KubeError: The API server could not be asked.
        """
        if self._discovery.find(GROUP, KIND, _VERSION) is None or await self._follow_in(""):
            return
        for namespace in sorted(namespaces):
            await self._follow_in(namespace)

    async def _follow_in(self, namespace: str) -> bool:
        """Watch one namespace, or all; tell whether that is allowed."""
        if time.monotonic() < self._refused.get(namespace, 0.0):
            return False
        following = self._followed.get(namespace)
        if following is None or following.ended:
            following = self._followed[namespace] = Following()
            following.start(self._tasks.create_task(self._follow(namespace, following), name="watch-autoscalers"))
        try:
            await following.synced()
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            following.stop()
            self._refused[namespace] = time.monotonic() + _ASK_AGAIN_SECONDS
            log.warning(
                "Autoscalers may not be watched, so only those in Git are known",
                namespace=namespace or "all",
                why=error.message,
            )
            return False
        return True

    async def _follow(self, namespace: str, following: Following) -> None:
        kind = self._discovery.find(GROUP, KIND, _VERSION)
        if kind is None:
            following.succeed()
            return
        async with aclosing(Watch(self._kube, kind, namespace=namespace or None, full=True).events()) as events:
            async for event in events:
                match event:
                    case Upsert(live, raw):
                        self._set(live.ref, scaled_by(live.ref, raw or {}))
                    case Gone(ref):
                        self._set(ref, None)
                    case Synced(refs):
                        for ref in [ref for ref in self._targets if namespace in {"", ref.namespace}]:
                            if ref not in refs:
                                self._set(ref, None)
                        following.succeed()
                    case Interrupted(error):
                        following.fail(error)
                    case Unserved():
                        following.succeed()

    def _set(self, scaler: ObjectRef, target: ObjectRef | None) -> None:
        """Take in what an autoscaler scales, None for nothing any more."""
        before = self._targets.get(scaler)
        if before == target:
            return
        if before is not None:
            del self._targets[scaler]
            self._scalers[before].discard(scaler)
            self._tell(before)
        if target is not None:
            self._targets[scaler] = target
            self._scalers[target].add(scaler)
            self._tell(target)

    def _tell(self, target: ObjectRef) -> None:
        scaler = min(self._scalers[target], default=None, key=str)
        if self._by_target.get(target) == scaler:
            return
        if scaler is None:
            del self._by_target[target], self._scalers[target]
        else:
            self._by_target[target] = scaler
        for listener in self._listeners:
            listener.scaled(target)
