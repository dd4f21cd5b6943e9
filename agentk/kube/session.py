"""aiohttp where it is needed: streams, and requests through a proxy. Plain requests go over ``direct``."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Final

import aiohttp

from agentk.kube.direct import keep_alive
from agentk.kube.guarding import HeldBackError
from agentk.kube.http1 import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

    from yarl import URL

    from agentk.kube.auth import Credentials

CONNECT_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 75.0
"""How long an idle connection is kept; API servers keep them for 90 and more."""

_MAX_AT_ONCE: Final = 1 << 20
"""Bytes of a request's body that are written in one go; aiohttp wants more as a file, and sends that in pieces."""

_ERRORS: Final = 300
"""Statuses from here on are no success; a redirect is none, credentials follow nobody elsewhere."""


def open_session(credentials: Credentials, connections: int) -> aiohttp.ClientSession:
    """Make a session with at most so many connections; must be called within a running event loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            limit_per_host=0,
            ssl=credentials.tls if credentials.tls is not None else True,
            keepalive_timeout=_IDLE_SECONDS,
            socket_factory=_socket,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Compression would cost the API server more than the network between us saves.
        skip_auto_headers=("Accept-Encoding",),
        auto_decompress=False,
        proxy=credentials.proxy,
        trace_configs=[_asking()],
    )


async def request_by_proxy(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    server_name: str | None,
    seconds: float,
    limit: int,
    error_limit: int,
    permit: Callable[[], bool] | None = None,
) -> Answer:
    """Send one request through the session's proxy; arguments and errors as of ``Direct.exchange``, aiohttp's added."""
    async with session.request(
        method,
        url,
        data=body if body is None or len(body) <= _MAX_AT_ONCE else io.BytesIO(body),
        headers=headers,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
        server_hostname=server_name,
        trace_request_ctx=permit,
    ) as response:
        return await read_answer(response, limit if response.status < _ERRORS else error_limit)


def _asking() -> aiohttp.TraceConfig:
    """Have aiohttp ask a request's ``permit`` when there is a connection for it, so in the moment it would leave."""

    async def ask(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        permit = context.trace_request_ctx
        if permit is not None and not permit():
            raise HeldBackError

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(ask)
    config.on_connection_reuseconn.append(ask)
    return config


async def read_answer(response: aiohttp.ClientResponse, limit: int) -> Answer:
    """Read an answer of at most ``limit`` bytes; an error may break off, its status says what is wrong."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                response.close()
                break
    except (aiohttp.ClientError, OSError):
        if response.status < _ERRORS:
            raise
    cut = len(body) > limit
    return Answer(response.status, bytes(body[:limit]), response.headers.get("Retry-After"), keep=not cut, cut=cut)


def _socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that notices within about a minute that the other end is gone (aiohttp sets ``TCP_NODELAY``)."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    keep_alive(made)
    return made
