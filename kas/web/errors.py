"""What the HTTP listeners answer when they refuse: one JSON shape, whatever went wrong.

``{"error": {"reason": "NotFound", "message": "…", "hint": "…"}}``: a CamelCase word for programs, a sentence for
people, and what to do next (may be empty).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from kas.store.errors import AgentExists, NotFound, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """A refusal. Raised by handlers, turned into an answer by the middleware of ``kas.web.middleware``."""

    def __init__(self, status: HTTPStatus, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.hint = hint


def error_response(error: ApiError, headers: Mapping[str, str] | None = None, *, graphql: bool = False) -> web.Response:
    """Write a refusal as JSON; for a ``graphql`` client also as the list of errors that it looks for."""
    body: dict[str, object] = {"error": {"reason": error.reason, "message": error.message, "hint": error.hint}}
    if graphql:
        body["errors"] = [{"message": error.message, "extensions": {"code": error.reason, "hint": error.hint}}]
    return web.json_response(body, status=error.status, headers=headers)


def bad_request(message: str, hint: str = "") -> ApiError:
    """Refuse what the caller sent."""
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message, hint)


def not_found(message: str, hint: str = "") -> ApiError:
    """Say that what was asked for is not there."""
    return ApiError(HTTPStatus.NOT_FOUND, "NotFound", message, hint)


def of_store(error: StoreError) -> ApiError:
    """Turn what the store refuses into an answer; a defect of the database stays in the log."""
    match error:
        case NotFound():
            return not_found(str(error), "list what there is with `kas get agents` or `kas token list`")
        case AgentExists():
            return ApiError(
                HTTPStatus.CONFLICT,
                "AlreadyExists",
                str(error),
                "choose another name, or use the agent that is there (`kas get agents`)",
            )
        case StoreUnavailable():
            return ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "StoreUnavailable",
                "the database does not answer",
                "try again; if it goes on, look into the log of kas",
            )
        case _:
            return ApiError(HTTPStatus.CONFLICT, "Refused", str(error))


def of_http(error: web.HTTPException) -> ApiError:
    """Give aiohttp's own refusals (routing, sizes) our shape."""
    status = HTTPStatus(error.status)
    match status:
        case HTTPStatus.NOT_FOUND:
            return not_found("there is nothing at this path", "the API is described in docs/http-api.md")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = error.headers.get("Allow", "")
            return ApiError(status, "MethodNotAllowed", "this path does not take this method", f"it takes {allowed}")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return ApiError(status, "TooLarge", "the request is larger than this path takes")
        case _:
            return ApiError(status, status.phrase.title().replace(" ", ""), status.description or status.phrase)
