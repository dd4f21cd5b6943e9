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
from kas.store.errors import StoreError
from kas.web.errors import ApiError, error_response, of_http, of_store

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.typedefs import Handler, Middleware

    from kas.web.metrics import Metrics

HANDLING_TIMEOUT = 30.0
"""Seconds for a whole request, its body included; watches are exempt."""

log = get_logger("web")


class Authenticate(Protocol):
    """Tells whether a secret is that of a live API token."""

    async def __call__(self, secret: str) -> bool:
        """Return True for a token that is known, not expired and not revoked."""


def bearer_of(request: web.Request) -> str | None:
    """Return the bearer token of a request, None where there is none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def route_of(request: web.Request) -> str:
    """Return the route's pattern, never the path that a client chose: it becomes a metric label."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def is_watch(request: web.Request) -> bool:
    """Tell whether a request may go on for ever; its body is not read then."""
    return request.method == "GET" and "watch" in request.query


def counting(metrics: Metrics, listener: str) -> Middleware:
    """Count every request and time it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        response = await handler(request)
        # A watch is open for as long as its reader likes, which says nothing about kas.
        seconds = None if is_watch(request) else time.monotonic() - started
        metrics.http_request(listener, request.method, route_of(request), response.status, seconds)
        return response

    return middleware


def refusing() -> Middleware:
    """Turn every exception into the JSON of ``kas.web.errors``; a defect is logged and not shown."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            # Only the scheme, as RFC 6750 asks for it.
            headers = {"WWW-Authenticate": "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else None
            return error_response(error, headers)
        except web.HTTPException as error:
            allow = error.headers.get("Allow")
            return error_response(of_http(error), {"Allow": allow} if allow else None)
        except StoreError as error:
            answer = of_store(error)
            if answer.status is HTTPStatus.SERVICE_UNAVAILABLE:
                log.warning("The store could not answer a request", route=route_of(request), error=error)
            return error_response(answer)
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
        if is_watch(request):
            return await handler(request)
        try:
            async with asyncio.timeout(seconds):
                return await handler(request)
        except TimeoutError:
            message = f"the request took longer than {seconds:.0f} s"
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "Timeout", message, "try again") from None

    return middleware


def authenticated(authenticate: Authenticate, open_routes: Collection[str]) -> Middleware:
    """Let only bearers of an API token reach a route that is not in ``open_routes`` (patterns)."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is None and route_of(request) not in open_routes:
            secret = bearer_of(request)
            if secret is None or not await authenticate(secret):
                if secret is not None:
                    log.warning("An API token was refused", remote=request.remote, route=route_of(request))
                raise unauthorized(given=secret is not None)
        return await handler(request)

    return middleware


def unauthorized(*, given: bool) -> ApiError:
    """Refuse a caller; the same answer for an unknown, an expired and a revoked token."""
    message = "the API token is not valid" if given else "an API token is needed"
    hint = "send `Authorization: Bearer kasapi-…`; kas writes the first token to admin-token in its data_dir"
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", message, hint)
