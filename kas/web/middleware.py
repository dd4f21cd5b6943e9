"""What every request passes: counting, errors as JSON, a time limit, and authentication unless a route is open.

Authentication is the rule and openness the exception, so that a route that somebody adds is closed until they say
otherwise.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from agentlink.logs import get_logger
from kas.doorkeeper import peer_of as address_with_port
from kas.rpc.refusals import SECONDS_A_REFUSAL
from kas.store.errors import StoreError
from kas.web.authorization import Caller
from kas.web.errors import ApiError, error_response, of_http, of_store
from kas.web.queries import read_query

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.typedefs import Handler, Middleware

    from kas.doorkeeper import Door
    from kas.web.metrics import Metrics

HANDLING_TIMEOUT = 30.0
"""Seconds for a whole request, its body included; watches and diffs are exempt."""

_HEADERS = {
    # Only the scheme, as RFC 6750 asks for it.
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(int(SECONDS_A_REFUSAL))},
}

log = get_logger("web")


GRAPHQL = "/api/graphql"

DIFF = "/api/v1/agents/{id}/diff"
"""The route that takes as long as its caller allows an agent."""

CALLER = web.RequestKey("caller", Caller)
"""Who asks; set for every route that is not open."""


class Authenticate(Protocol):
    """Lets callers in."""

    async def authenticate(self, secret: str | None, peer: str) -> Caller:
        """Return who has that secret, or raise ApiError."""


def bearer_of(request: web.Request) -> str | None:
    """Return the API token of a request, None where there is none; GitLab's own header does as well."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        secret = request.headers.get("PRIVATE-TOKEN", "")
    return secret.strip() or None


def peer_of(request: web.Request) -> str:
    """Return the address that a request came from; a proxy's where there is one."""
    return request.remote or "unknown"


def route_of(request: web.Request) -> str:
    """Return the route's pattern, never the path that a client chose: it becomes a metric label."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def is_open_ended(request: web.Request) -> bool:
    """Tell whether a request may take longer than others: a watch, for ever, or a diff, which limits itself."""
    return (request.method == "GET" and "watch" in request.query) or route_of(request) == DIFF


def is_graphql(request: web.Request) -> bool:
    """Tell whether the caller expects errors as GraphQL has them."""
    return request.path == GRAPHQL


def counting(metrics: Metrics, listener: str) -> Middleware:
    """Count every request and time it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        response = await handler(request)
        # How long its reader likes, or an agent takes, says nothing about kas.
        seconds = None if is_open_ended(request) else time.monotonic() - started
        metrics.http_request(listener, request.method, route_of(request), response.status, seconds)
        return response

    return middleware


def at_the_door(door: Door) -> Middleware:
    """Have a connection's time begin anew with every request, until one has been let in."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        door.again(connection_of(request))
        return await handler(request)

    return middleware


def connection_of(request: web.Request) -> str:
    """Return the address and port that a connection came from, whatever a header says."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return address_with_port(name[:2]) if name else ""


def refusing() -> Middleware:
    """Turn every exception into the JSON of ``kas.web.errors``; a defect is logged and not shown."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error_response(error, _HEADERS.get(error.status), graphql=is_graphql(request))
        except web.HTTPException as error:
            allow = error.headers.get("Allow")
            return error_response(of_http(error), {"Allow": allow} if allow else None, graphql=is_graphql(request))
        except StoreError as error:
            answer = of_store(error)
            if answer.status is HTTPStatus.SERVICE_UNAVAILABLE:
                log.warning("The store could not answer a request", route=route_of(request), error=error)
            return error_response(answer, graphql=is_graphql(request))
        except ConnectionError:
            raise  # the peer is gone: nobody reads an answer
        except Exception:
            log.exception("A request failed on a defect", route=route_of(request), method=request.method)
            message = "kas failed on this request"
            hint = "the log of kas has the details; please report it"
            return error_response(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message, hint))

    return middleware


def limited(seconds: float = HANDLING_TIMEOUT) -> Middleware:
    """End a request that takes too long, such as one whose body never comes."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_open_ended(request):
            return await handler(request)
        try:
            async with asyncio.timeout(seconds):
                return await handler(request)
        except TimeoutError:
            message = f"the request took longer than {seconds:.0f} s"
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "Timeout", message, "try again") from None

    return middleware


def authenticated(authentication: Authenticate, open_routes: Collection[str], door: Door | None = None) -> Middleware:
    """Let only bearers of an API token reach a route that is not in ``open_routes`` (patterns).

    ``door`` is told whose connections are theirs.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is None and route_of(request) not in open_routes:
            request[CALLER] = await authentication.authenticate(bearer_of(request), peer_of(request))
            if door is not None:
                door.let_in(connection_of(request))
        return await handler(request)

    return middleware


def without_parameters(prefix: str) -> Middleware:
    """Refuse a change below ``prefix`` that comes with parameters: changes are said in the body.

    Left unread, a ``?project=`` at an order would make it one about all of the agent.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"} and request.path.startswith(f"{prefix}/"):
            read_query(request.query, frozenset())
        return await handler(request)

    return middleware
