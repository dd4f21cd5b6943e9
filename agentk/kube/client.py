"""One connection pool to the Kubernetes API: bytes out, bytes in, every failure a ``KubeError``.

Not a general client: no generated models, no retries (``objects`` and ``watch`` know what may be repeated), no parsing.
Requests go over ``direct``, which costs a third of the processor time that aiohttp takes for a server-side apply;
streams, and everything where a proxy is configured, go through aiohttp.
"""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agentk.kube.auth import Credentials, load_credentials
from agentk.kube.concurrency import CEILING
from agentk.kube.direct import Direct
from agentk.kube.errors import KubeError
from agentk.kube.failures import is_document, not_an_api_server, read_document, refused, unreachable
from agentk.kube.guarding import when_open
from agentk.kube.headers import Headers
from agentk.kube.http1 import AnswerError
from agentk.kube.limiter import OWN_LANE, Limiter
from agentk.kube.lines import LineSplitter
from agentk.kube.session import CONNECT_SECONDS, open_session, read_answer, request_by_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType

    from agentk.kube.guarding import Guard

JSON: Final = "application/json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""Metadata of one object. An aggregated server that cannot do it sends the whole object, which reads the same."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

_MAX_ANSWER: Final = 64 << 20
"""Bytes of an answer. A page of 500 full objects of the largest size etcd takes would be more; none is that large."""
_MAX_ERROR: Final = 1 << 20
_MAX_LINE: Final = 8 << 20
"""Bytes of one event of a watch: etcd's limit for an object is 1.5 MiB, and JSON may be several times its protobuf."""


class Response(NamedTuple):
    """A successful answer; ``status`` tells a creation (201) from a change (200)."""

    status: int
    body: bytes


class KubeClient:
    """Talks to one API server. Use as an async context manager, or ``close`` it."""

    def __init__(self, credentials: Credentials, *, connections: int = 64, max_requests: int = CEILING) -> None:
        """Make a client; must be called within a running event loop.

        Args:
            credentials: Who we are and where the server is.
            connections: How many connections for streams there may be, or for everything if there is a proxy.
            max_requests: How many requests may be in flight at most, streams not counted.
        """
        self._credentials = credentials
        self._direct = None
        if credentials.proxy is None:
            self._direct = Direct(credentials.host, credentials.tls, credentials.server_name)
        self._session = open_session(credentials, connections)
        self._headers = Headers(credentials, self._direct)
        self.limiter = Limiter(max_requests)
        self._lane = OWN_LANE
        self._guard: Guard | None = None

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        connections: int = 64,
        max_requests: int = CEILING,
    ) -> KubeClient:
        """Load credentials and make a client. Sends nothing yet; ``version`` is a good first request.

        Raises:
            KubeError: Reason ``NoCredentials`` when there are none that can be used.
        """
        credentials = await load_credentials(kubeconfig=kubeconfig, context=context)
        return cls(credentials, connections=connections, max_requests=max_requests)

    def impersonating(self, user: str) -> KubeClient:
        """Return this client acting as another user, over the same connections; only this one is ever closed.

        The API server decides whether we may (RBAC verb ``impersonate``). It adds the groups of a service account.
        """
        return self._clone(impersonated=user, lane=self._lane)

    def in_lane(self, lane: str) -> KubeClient:
        """Return this client, over the same connections, whose requests take turns with those of other lanes."""
        return self._clone(impersonated=self._headers.impersonated, lane=lane)

    def guarded_by(self, guard: Guard) -> KubeClient:
        """Return this client, over the same connections, whose writes leave only while the guard is open."""
        clone = self._clone(impersonated=self._headers.impersonated, lane=self._lane)
        clone._guard = guard  # noqa: SLF001 - one of our own
        return clone

    def apart(self) -> KubeClient:
        """Return this client, over the same connections, for what must not wait its turn behind other requests."""
        clone = self._clone(impersonated=self._headers.impersonated, lane=self._lane)
        clone.limiter = Limiter()
        return clone

    def _clone(self, *, impersonated: str, lane: str) -> KubeClient:
        """Return a client that shares everything but what it says of itself: each notices a new token on its own."""
        clone = copy.copy(self)
        clone._headers, clone._lane = self._headers.acting_as(impersonated), lane  # noqa: SLF001 - one of our own
        return clone

    @property
    def host(self) -> str:
        """The server's URL."""
        return self._credentials.host

    async def close(self) -> None:
        """Close every connection."""
        if self._direct is not None:
            await self._direct.close()
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = 60.0,  # noqa: ASYNC109 - of one request; callers choose it by what they ask for
        limit: int = _MAX_ANSWER,
    ) -> bytes:
        """Send one request, return the body of a 2xx answer.

        Args:
            method: The HTTP method.
            path: Begins with a slash, percent-encoded; may hold a query if ``params`` is None.
            params: The query, not yet encoded.
            body: What to send.
            content_type: What ``body`` is.
            accept: What to ask for.
            timeout: Seconds for the whole exchange.
            limit: Bytes that an answer may have.

        Raises:
            KubeError: For every other answer, and when there is none.
        """
        if params:
            path = f"{path}?{urlencode(params)}"
        response = await self.send(
            method, path, body=body, content_type=content_type, accept=accept, timeout=timeout, limit=limit
        )
        return response.body

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = 60.0,  # noqa: ASYNC109 - as in request
        limit: int = _MAX_ANSWER,
    ) -> Response:
        """Send one request as ``request`` does, with the query in ``path``; return the status as well."""
        await self._headers.refresh()
        exchange: Callable[[], Awaitable[Response]] = partial(
            self._exchange,
            method,
            path,
            body=body,
            content_type=content_type,
            accept=accept,
            seconds=timeout,
            limit=limit,
        )
        if self._guard is not None and method != "GET":
            exchange = partial(when_open, self._guard, exchange)
        sent_as = self._headers.authorization
        try:
            return await exchange()
        except KubeError as error:
            # The token may have been rotated or have expired since it was read; a new one is worth one more request.
            if error.status != 401 or not await self._headers.renew(sent_as or ""):  # noqa: PLR2004 - Unauthorized
                raise
        return await exchange()

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        content_type: str,
        accept: str,
        seconds: float,
        limit: int,
    ) -> Response:
        """Send when there is room for one more request; its time begins then."""
        limiter = self.limiter
        permit = self._guard.is_open if self._guard is not None and method != "GET" else None
        sent = await limiter.enter(self._lane)
        try:
            if self._direct is None:
                answer = await request_by_proxy(
                    self._session,
                    method,
                    URL(self._credentials.host + path, encoded=True),
                    headers=self._headers.of(content_type, accept),
                    body=body,
                    server_name=self._credentials.server_name,
                    seconds=seconds,
                    limit=limit,
                    error_limit=_MAX_ERROR,
                    permit=permit,
                )
            else:
                answer = await self._direct.exchange(
                    method,
                    path,
                    self._headers.head(content_type, accept),
                    body or b"",
                    seconds=seconds,
                    limit=limit,
                    error_limit=_MAX_ERROR,
                    permit=permit,
                )
        except (aiohttp.ClientError, AnswerError, TimeoutError, OSError) as error:
            failure = unreachable(error, self._credentials.host, seconds)
            limiter.leave(sent, failure)
            raise failure from error
        except BaseException:
            limiter.abandon()
            raise
        # A redirect is no success: credentials follow nobody elsewhere.
        if answer.status >= 300:  # noqa: PLR2004 - success ends there
            failure = refused(answer, path)
            limiter.leave(sent, failure)
            raise failure
        if JSON in accept and not answer.cut and not is_document(answer.body):
            failure = not_an_api_server(self._credentials.host)
            limiter.leave(sent, failure)
            raise failure
        limiter.leave(sent, change=method == "PATCH")
        if answer.cut:
            raise KubeError(answer.status, "TooLarge", f"the server's answer is larger than {limit >> 20} MiB")
        return Response(answer.status, answer.body)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
        silence: float = 330.0,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an endless answer: an iterator of its lines, each one JSON document, that ends when the server ends it.

        Args:
            path: Begins with a slash, percent-encoded, without a query.
            params: The query, not yet encoded.
            accept: What to ask for.
            silence: Seconds without a byte after which the connection is taken for dead.

        Raises:
            KubeError: When the server refuses, or, from the iterator, when the connection breaks or a line is longer
                than 8 MiB.
        """
        await self._headers.refresh()
        url = URL(f"{self._credentials.host}{path}?{urlencode(params or {})}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        host = self._credentials.host
        try:
            response = await self._session.get(
                url,
                headers=self._headers.of(JSON, accept),
                allow_redirects=False,
                timeout=timeout,
                server_hostname=self._credentials.server_name,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, host, silence) from error
        try:
            if response.status >= 300:  # noqa: PLR2004 - as above
                if response.status == 401:  # noqa: PLR2004 - Unauthorized; the next attempt shows a newer token
                    await self._headers.renew(self._headers.authorization or "")
                raise refused(await read_answer(response, _MAX_ERROR), path)
            yield _lines(response, host, silence)
        finally:
            # Not released to the pool: what is left of an endless answer must not be read. Nor is the farewell of TLS
            # waited for, which may outlast the event loop.
            if response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()
            response.close()

    async def version(self) -> dict[str, str]:
        """Return what the server says of itself; ``gitVersion`` is such as ``v1.36.3``."""
        document = read_document(await self.request("GET", "/version", accept="*/*", timeout=10.0, limit=_MAX_ERROR))
        return {str(key): str(value) for key, value in document.items()}

    async def ping(self) -> None:
        """Return when the server is ready to serve us; needs no permission beyond being somebody.

        Raises:
            KubeError: When it cannot be reached, does not know us, or is not ready.
        """
        await self.request("GET", "/readyz", accept="*/*", timeout=10.0, limit=_MAX_ERROR)


async def _lines(response: aiohttp.ClientResponse, host: str, silence: float) -> AsyncIterator[bytes]:
    splitter = LineSplitter(_MAX_LINE)
    try:
        async for chunk in response.content.iter_any():
            for line in splitter.push(chunk):
                yield line
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(error, host, silence) from error
