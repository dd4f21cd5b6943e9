"""Following the objects of one kind for as long as the program lives.

A list, then a watch from where the list ended, resumed after every disconnect, and listed again when the server no
longer knows the way from there. Whoever consumes the events keeps what it needs; nothing is cached here.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from agentk.kube.client import JSON, METADATA, METADATA_LIST
from agentk.kube.errors import KubeError, error_from_status
from agentk.kube.failures import read_document
from agentk.kube.live import live_of, ref_of
from agentk.kube.paths import collection_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from agentk.apply.model import Kind, Live
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef

_SECONDS: Final = 300
"""How long one watch is asked to last, up to a fifth less at random so that many do not return at once."""

_SLACK: Final = 30.0
"""Seconds after its time is up within which a watch must have ended."""

_NOT_FOUND: Final = 404
_GONE: Final = 410
_FROM_HERE: Final = frozenset({0, 401, 403, 429, 503})
"""Statuses that say nothing against the resourceVersion we watch from; after any other the list is made anew."""

_ONCE: Final = RetryPolicy(attempts=1)
"""Lists are not repeated one by one: the loop of the watch does it, and tells its consumer."""

_FOREVER: Final = RetryPolicy(first=0.2, longest=5.0)
"""Drift must not go unseen for long when the server is back; asking one that is away costs nothing."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """An object exists, as new, changed, or still. ``raw`` is the whole object if whole objects were asked for."""

    live: Live
    raw: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Gone:
    """An object was deleted, or no longer matches the selector."""

    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class Synced:
    """A list is complete, each of its objects having come as an ``Upsert``: whatever is not in ``refs`` is gone."""

    refs: frozenset[ObjectRef]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The server could not be asked; it is tried again in ``wait`` seconds. What was seen may be out of date."""

    error: KubeError
    wait: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The watch that was ``Interrupted`` goes on: what happened meanwhile follows, or has come as a new list."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """The kind is no longer served (its CRD is gone). Always the last event."""

    kind: Kind


WatchEvent: TypeAlias = Upsert | Gone | Synced | Interrupted | Resumed | Unserved


@dataclass(frozen=True, slots=True)
class _After:
    """What follows the end of one connection: with a new list or not, at once or after a pause."""

    relist: bool
    at_once: bool


def _decide(failure: KubeError | None, *, heard: bool, lasted: bool) -> _After:
    """Decide how to go on.

    Args:
        failure: Why the connection ended; None when the server ended it in good order.
        heard: Whether anything came on it, be it a bookmark.
        lasted: Whether it ended because its time was up, more or less.
    """
    # Not even a bookmark: the server may have been restored from a backup, and be waiting without a word for a version
    # that is far ahead of it. Only a list finds out.
    relist = (lasted and not heard) if failure is None or failure.status in _FROM_HERE else True
    # A connection that worked and broke is replaced at once; one that never worked is not.
    at_once = (heard or lasted) if failure is None else (heard and failure.status == 0)
    return _After(relist, at_once)


class Watch:
    """The objects of one kind, in one namespace or all, that match a selector."""

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        namespace: str | None = None,
        selector: str | None = None,
        full: bool = False,
        resource_version: str | None = None,
        retries: RetryPolicy = _FOREVER,
        seconds: int = _SECONDS,
    ) -> None:
        """Describe a watch; nothing is sent before ``events`` is iterated.

        Args:
            client: The connection; a watch occupies one of its pool.
            kind: Which kind.
            namespace: Only there; None for the whole cluster.
            selector: A label selector.
            full: Whole objects instead of metadata only.
            resource_version: Where to begin, without a list (and so without ``Synced``); that of a list made elsewhere.
            retries: How far apart attempts are after failures; they never end.
            seconds: How long one watch request may last.
        """
        self._client = client
        self._sender = Sender(client, _ONCE)
        self._kind = kind
        self._path = collection_path(kind, namespace or "")
        self._selector = selector
        self._full = full
        self._version = resource_version or ""
        self._retries = retries
        self._seconds = seconds
        self._heard = 0
        self._interrupted = False

    @property
    def resource_version(self) -> str:
        """How far this watch has come; empty when it will list next."""
        return self._version

    async def events(self) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens, for ever, or until the kind is ``Unserved``.

        Close it when you stop early (``async with aclosing(watch.events())``), so that its connection is closed too.
        """
        waits: Iterator[float] | None = None
        while True:
            failure: KubeError | None = None
            self._heard = 0
            began = time.monotonic()
            try:
                async with aclosing(self._round()) as events:
                    async for event in events:
                        yield event
            except KubeError as error:
                failure = error
            if failure is not None and failure.status == _NOT_FOUND:
                yield Unserved(self._kind)
                return
            lasted = time.monotonic() - began >= self._seconds / 2
            after = _decide(failure, heard=self._heard > 0, lasted=lasted)
            if after.relist:
                self._version = ""
            if self._heard or after.at_once:
                waits = None
            if after.at_once:
                continue
            waits = waits or self._retries.forever()
            wait = next(waits)
            if failure is not None:
                wait = self._retries.honour(wait, failure)
                # That the server has forgotten a version is its daily business.
                if failure.status != _GONE:
                    self._interrupted = True
                    yield Interrupted(failure, wait)
            await asyncio.sleep(wait)

    async def _round(self) -> AsyncGenerator[WatchEvent, None]:
        """List if need be, then watch until the connection ends."""
        if not self._version:
            async with aclosing(self._list()) as listed:
                async for event in listed:
                    yield event
        async with aclosing(self._watch()) as watched:
            async for event in watched:
                yield event

    async def _list(self) -> AsyncGenerator[WatchEvent, None]:
        refs: set[ObjectRef] = set()
        version = ""
        accept = JSON if self._full else METADATA_LIST
        async with aclosing(self._sender.pages(self._path, selector=self._selector, accept=accept)) as pages:
            async for page in pages:
                if page.first:
                    refs.clear()
                version = page.resource_version
                for item in page.items:
                    event = self._upsert(item)
                    refs.add(event.live.ref)
                    yield event
        self._version = version
        yield Synced(frozenset(refs))

    async def _watch(self) -> AsyncGenerator[WatchEvent, None]:
        seconds = round(self._seconds * random.uniform(0.8, 1.0))  # noqa: S311 - spreads load, guards no secret
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        if self._selector:
            query["labelSelector"] = self._selector
        accept = JSON if self._full else METADATA
        async with self._client.stream(self._path, params=query, accept=accept, silence=seconds + _SLACK) as lines:
            if self._interrupted:
                self._interrupted = False
                yield Resumed()
            async for line in lines:
                event = self._read(line)
                if event is not None:
                    yield event

    def _read(self, line: bytes) -> WatchEvent | None:
        # The last line of a connection that broke may be part of one; what stands before a server may say anything.
        document = read_document(line)
        type_, item = document.get("type"), document.get("object")
        if not isinstance(type_, str) or not isinstance(item, dict):
            raise KubeError(0, "Unreachable", "what was answered is no event of a watch")
        if type_ == "ERROR":
            raise error_from_status(item, secret=self._kind.kind == "Secret")
        self._heard += 1
        metadata = item["metadata"]
        self._version = str(metadata["resourceVersion"])
        if type_ == "BOOKMARK":
            return None
        if type_ == "DELETED":
            return Gone(ref_of(self._kind, metadata))
        return self._upsert(item)

    def _upsert(self, item: dict[str, Any]) -> Upsert:
        live = live_of(self._kind, item["metadata"])
        if not self._full:
            return Upsert(live, None)
        # The items of a list do not repeat what the list says once.
        item.setdefault("apiVersion", self._kind.api_version)
        item.setdefault("kind", self._kind.kind)
        return Upsert(live, item)
