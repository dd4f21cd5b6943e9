"""Sending a request again when that can help, and asking for a list page by page.

Used by every part of this room whose requests may be sent twice; ``client`` sends once, ``retry`` says how far apart.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from agentk.kube.client import JSON
from agentk.kube.errors import KubeError
from agentk.kube.failures import read_document

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from agentk.kube.client import KubeClient, Response
    from agentk.kube.retry import RetryPolicy

PAGE: Final = 500
"""Objects in a page of a list, as kubectl and client-go ask for."""

_GONE: Final = 410


class Sender:
    """A client that tries again."""

    def __init__(self, client: KubeClient, retries: RetryPolicy, *, timeout: float = 60.0) -> None:
        """Make a sender.

        Args:
            client: What sends.
            retries: How often and how far apart.
            timeout: Seconds for one attempt.
        """
        self._client = client
        self._retries = retries
        self._timeout = timeout

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, content_type: str = JSON, accept: str = JSON
    ) -> Response:
        """Send until there is an answer that stays.

        Raises:
            KubeError: One that no repetition helps, or the last one when attempts ran out.
        """
        waits: Iterator[float] | None = None
        while True:
            try:
                return await self._client.send(
                    method, path, body=body, content_type=content_type, accept=accept, timeout=self._timeout
                )
            except KubeError as error:
                if not error.retryable:
                    raise
                waits = waits or self._retries.waits()
                wait = next(waits, None)
                if wait is None:
                    raise
                pause = self._retries.honour(wait, error)
            await asyncio.sleep(pause)

    async def pages(
        self, path: str, *, selector: str | None = None, accept: str = JSON, size: int = PAGE
    ) -> AsyncGenerator[RawPage, None]:
        """Yield a list page by page, each decoded.

        Args:
            path: Of the collection.
            selector: A label selector.
            accept: What to ask for.
            size: Objects in a page.
        """
        query = {"limit": str(size)} | ({"labelSelector": selector} if selector else {})
        first = True
        token = ""
        while True:
            asked = query | ({"continue": token} if token else {})
            try:
                response = await self.send("GET", f"{path}?{urlencode(asked)}", accept=accept)
            except KubeError as error:
                if error.status != _GONE or not token:
                    raise
                # The server no longer keeps the moment at which the list began.
                first, token = True, ""
                continue
            document = read_document(response.body)
            metadata = document.get("metadata")
            if not isinstance(metadata, dict) or "items" not in document:
                # Taken for an empty list, it would mean that every object is gone.
                raise KubeError(0, "Unreachable", "what was answered is no list of Kubernetes")
            token = metadata.get("continue") or ""
            remaining = metadata.get("remainingItemCount") if token else 0
            yield RawPage(document.get("items") or [], str(metadata.get("resourceVersion", "")), remaining, first)
            first = False
            if not token:
                return


class RawPage(NamedTuple):
    """One page of a list; the fields are those of ``objects.ListPage``, with whole decoded items."""

    items: list[dict[str, Any]]
    resource_version: str
    remaining: int | None
    first: bool
