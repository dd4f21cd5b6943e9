"""Kubernetes Events about a project, on the ConfigMap of its inventory: what ``kubectl describe`` and ``events`` show.

They are a courtesy: whoever notes one never waits and never fails, and a cluster that refuses them is told of once in
the log. An event costs etcd a write and an hour of memory, so the same event again only raises its count, no more than
once in ten seconds; and of one reason there are ten different texts in ten minutes, all further ones being one event.

Which events there are is decided by those who note them. Their texts hold no Secret values: they are what is reported
to kas as well.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from agentk.apply.model import Kind
from agentk.kube.client import MERGE_PATCH, METADATA
from agentk.kube.errors import KubeError
from agentk.kube.paths import collection_path, object_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender
from agentlink import logs
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentk.kube.client import KubeClient
    from agentk.kube.inventory_maps import StoredMap

log = logs.get_logger("events")

MAX_MESSAGE: Final = 1024
"""Bytes of a message: what Kubernetes allows in its newer API for events, and as much as a person reads."""

DIFFERENT_MESSAGES: Final = 10
"""Texts of one reason on one inventory that are events of their own."""

WINDOW_SECONDS: Final = 600.0
"""How long an event is counted on after it was last seen; then the same again is a new one."""

REPEAT_SECONDS: Final = 10.0
"""The least time between two writes of one event."""

_MUTE_SECONDS: Final = 600.0
"""How long a namespace in which events are forbidden is left alone."""

_MOST: Final = 2000
"""Events that are counted on at once, over all projects. More are dropped."""

_EVENT: Final = Kind("", "v1", "Event", "events", namespaced=True)
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403


class _Kind(NamedTuple):
    """What similar events share."""

    regarding: ObjectRef
    uid: str
    reason: str
    warning: bool


@dataclass(slots=True)
class _Series:
    """One event and its repetitions. ``name`` is empty until the server has it; ``due`` is of the monotonic clock."""

    kind: _Kind
    version: str
    message: str
    first: datetime
    last: datetime
    seen: float
    count: int = 0
    name: str = ""
    due: float = 0.0


class EventRecorder:
    """Takes events at once, and writes them beside everything else (see ``running``)."""

    def __init__(
        self,
        client: KubeClient,
        *,
        refused: dict[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a recorder.

        Args:
            client: Writes them; needs to create and patch events where inventories are.
            refused: Shared by all recorders of a process: until when namespaces in which events are forbidden are left
                alone.
            clock: Seconds that only grow.
        """
        self._sender = Sender(client, RetryPolicy(attempts=2), timeout=10.0)
        self._clock = clock
        self._series: dict[_Kind, dict[str, _Series]] = {}
        self._unwritten: dict[int, _Series] = {}
        self._refused = {} if refused is None else refused
        self._wake = asyncio.Event()

    def note(self, reason: str, message: str, inventory: StoredMap, *, warning: bool = False) -> None:
        """Take an event; never fails and never waits.

        Args:
            reason: A CamelCase word for programs.
            message: A sentence for people; what is beyond 1 kB is cut off.
            inventory: The ConfigMap that it is about.
            warning: Whether somebody should look.
        """
        now = self._clock()
        kind = _Kind(inventory.ref, inventory.uid, reason, warning)
        text = _bounded(message)
        series = self._series_for(kind, text, now)
        if series is None:
            return
        series.count += 1
        series.seen, series.last = now, datetime.now(UTC)
        series.version = inventory.version
        if series is self._series[kind].get(""):
            series.message = _bounded(f"(combined from similar events): {text}")
        self._unwritten[id(series)] = series
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what is noted while the context lasts; what is not written by then is dropped."""
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._run(), name="events")
            try:
                yield
            finally:
                writing.cancel()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            for series in [one for one in self._unwritten.values() if one.due <= now]:
                del self._unwritten[id(series)]
                series.due = self._clock() + REPEAT_SECONDS
                await self._write(series)
            waits = [one.due - self._clock() for one in self._unwritten.values()]
            try:
                async with asyncio.timeout(max(0.0, min(waits)) if waits else None):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _series_for(self, kind: _Kind, text: str, now: float) -> _Series | None:
        """Return what an event is counted in: one of its own, or that of all similar ones, kept under no text."""
        known = self._series.setdefault(kind, {})
        for old in [key for key, one in known.items() if one.seen + WINDOW_SECONDS <= now]:
            del known[old]
        if text not in known and len(known) >= DIFFERENT_MESSAGES:
            text = ""
        if text not in known:
            if not self._has_room(now):
                return None
            moment = datetime.now(UTC)
            known[text] = _Series(kind, "", text, moment, moment, now)
        return known[text]

    def _has_room(self, now: float) -> bool:
        if sum(map(len, self._series.values())) < _MOST:
            return True
        for kind, known in list(self._series.items()):
            if all(one.seen + WINDOW_SECONDS <= now for one in known.values()):
                del self._series[kind]
        return sum(map(len, self._series.values())) < _MOST

    async def _write(self, series: _Series) -> None:
        namespace = series.kind.regarding.namespace
        if self._refused.get(namespace, 0.0) > self._clock():
            return
        try:
            await self._send(series)
        except KubeError as error:
            said = bool(self._refused)
            if error.status == _FORBIDDEN:
                self._refused[namespace] = self._clock() + _MUTE_SECONDS
            if error.status == _FORBIDDEN and not said:
                log.warning(
                    "Kubernetes Events are not written; let agentk create and patch events, or do without them",
                    namespace=namespace,
                    why=str(error),
                )
            else:
                log.debug("A Kubernetes Event was not written", reason=series.kind.reason, why=str(error))

    async def _send(self, series: _Series) -> None:
        namespace = series.kind.regarding.namespace
        if series.name:
            body = {"message": series.message, "count": series.count, "lastTimestamp": _timestamp(series.last)}
            path = object_path(_EVENT, ObjectRef("", "Event", namespace, series.name))
            try:
                await self._sender.send("PATCH", path, orjson.dumps(body), content_type=MERGE_PATCH, accept=METADATA)
            except KubeError as error:
                if error.status != _NOT_FOUND:
                    raise
                series.name = ""  # the server keeps events for an hour
            else:
                return
        name = f"{series.kind.regarding.name}.{secrets.token_hex(8)}"
        await self._sender.send(
            "POST", collection_path(_EVENT, namespace), orjson.dumps(_document(series, name)), accept=METADATA
        )
        series.name = name


def _document(series: _Series, name: str) -> dict[str, object]:
    kind = series.kind
    regarding = {
        "apiVersion": "v1",
        "kind": kind.regarding.kind,
        "namespace": kind.regarding.namespace,
        "name": kind.regarding.name,
    }
    if kind.uid:
        regarding |= {"uid": kind.uid, "resourceVersion": series.version}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": kind.regarding.namespace},
        "involvedObject": regarding,
        "type": "Warning" if kind.warning else "Normal",
        "reason": kind.reason,
        "message": series.message,
        "count": series.count,
        "firstTimestamp": _timestamp(series.first),
        "lastTimestamp": _timestamp(series.last),
        "source": {"component": "agentk"},
        "reportingComponent": "agentk",
        "reportingInstance": "",
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _bounded(text: str) -> str:
    text = logs.inert(text)  # what a repository holds must not act on the terminal of who reads it
    data = text.encode()
    return text if len(data) <= MAX_MESSAGE else data[: MAX_MESSAGE - 3].decode("utf-8", "ignore") + "…"
