"""The OpenAPI document of the API listener: one row for each route, and shapes made from the payloads.

``GET /api/v1/openapi.json`` answers it without a token: it says what every kas of this version has, and nothing of this
one. ``tests/integration/kas_web/test_openapi.py`` holds it to the routes, parameters and answers of a running kas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from agentlink import __version__
from kas.store.records import SyncState
from kas.web.answers import PREFIX, json_answer
from kas.web.authorization import Role
from kas.web.graphql import explorer
from kas.web.middleware import DIFF, GRAPHQL
from kas.web.queries import MAX_LIMIT
from kas.web.schemas import Schema, reference, schemas
from kas.web.webhooks import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENAPI: Final = f"{PREFIX}/openapi.json"

_ID: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_FLAG: Final[Schema] = {"enum": ["0", "1", "false", "true"]}
_TEXT: Final[Schema] = {"type": "string"}
_IN_PATHS: Final[Mapping[str, Schema]] = {
    "id": _ID,
    "agent": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    "project": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_][A-Za-z0-9_-]*)*$"},
}
_COMMIT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{7,64}$"}

PARAMETERS: Final[Mapping[str, tuple[Schema, str]]] = {
    "agent": (_TEXT, "an agent's name, or configuration/project:name"),
    "project": (_TEXT, "a project's path"),
    "commit": (_COMMIT, "7 or more digits of a commit's id"),
    "state": ({"enum": [str(state) for state in SyncState]}, "what a sync has come to"),
    "type": ({"enum": ["Normal", "Warning"]}, "the type of an event"),
    "all": (_FLAG, "history, and not only what is newest"),
    "limit": ({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "at most so many"),
    "cursor": (_TEXT, "`next` of the page before"),
    "watch": (_FLAG, "JSON lines for as long as the connection lasts"),
}
"""Query parameters, each with one meaning wherever it is taken."""

_ALWAYS: Final = (400, 401, 403, 404, 408, 413, 429, 500, 503)
_CONFLICT: Final = (409,)
_ORDER: Final = (409, 422, 502, 504)
"""Statuses of refusals: of every route with a token, of what names something new, of what an agent or Git is asked."""

_REASONS: Final = {
    400: "a parameter or key is missing, wrong or unknown",
    401: "no API token, or one that is not valid",
    403: "the role of the token does not allow it",
    404: "it does not exist, or the token may not see it",
    405: "the path does not take this method",
    408: "the request took too long to arrive",
    409: "it cannot be done as things are",
    413: "the body is too large",
    415: "the body is of another type",
    422: "the revision cannot be used",
    429: "too many attempts; Retry-After says when to come again",
    500: "a defect of kas",
    502: "a Git server could not be asked",
    503: "try again",
    504: "the agent did not answer in time",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    ``answer`` is the name of a payload, empty for what has no JSON of its own; ``listed``: a list of them. ``query``
    are parameters, those in ``needed`` must be given. ``body`` has the schema of each key; ``None``: no body is read.
    """

    summary: str
    answer: str = ""
    listed: bool = False
    status: int = 200
    query: tuple[str, ...] = ()
    needed: frozenset[str] = frozenset()
    body: Mapping[str, Schema] | None = None
    errors: tuple[int, ...] = ()
    open: bool = False
    content: str = "application/json"
    page: bool = False


def _texts(*names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, _TEXT)


_AGENT: Final = f"{PREFIX}/agents/{{id}}"
_ONE: Final = frozenset({"project"})

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", f"{PREFIX}/agents"): Operation("List agents", "Agent", listed=True, query=("agent", "project", "watch")),
    ("POST", f"{PREFIX}/agents"): Operation(
        "Register an agent",
        "CreatedAgent",
        status=201,
        body={**_texts("project", "name"), "id": {"type": "integer", "minimum": 1, "maximum": (1 << 53) - 1}},
        needed=frozenset({"project", "name"}),
        errors=_CONFLICT,
    ),
    ("GET", _AGENT): Operation("Show an agent", "Agent"),
    ("DELETE", _AGENT): Operation("Delete an agent, its tokens and connections", "Agent"),
    ("GET", f"{_AGENT}/tokens"): Operation("List an agent's tokens, without secrets", "Token", listed=True),
    ("POST", f"{_AGENT}/tokens"): Operation(
        "Make a token of an agent", "CreatedToken", status=201, body=_texts("name", "description"), errors=_CONFLICT
    ),
    ("DELETE", f"{PREFIX}/tokens/{{id}}"): Operation("Revoke a token of an agent", "Token"),
    ("GET", f"{PREFIX}/syncs"): Operation(
        "List what agents have synced",
        "Sync",
        listed=True,
        query=("agent", "project", "state", "all", "limit", "watch"),
        errors=_CONFLICT,
    ),
    ("GET", f"{PREFIX}/tree"): Operation(
        "Show an agent's projects and a page of their objects",
        "Tree",
        query=("agent", "project", "limit", "cursor", "watch"),
        needed=frozenset({"agent"}),
        errors=_CONFLICT,
    ),
    ("GET", f"{PREFIX}/events"): Operation(
        "List events", "Event", listed=True, query=("agent", "project", "type", "limit", "watch"), errors=_CONFLICT
    ),
    ("GET", f"{PREFIX}/history"): Operation(
        "List what happened to a project of an agent",
        "HistoryEntry",
        listed=True,
        query=("agent", "project", "limit"),
        needed=frozenset({"agent", "project"}),
        errors=_ORDER,
    ),
    ("POST", f"{_AGENT}/suspend"): Operation(
        "Suspend a project, or all of an agent",
        "Ordered",
        body={**_texts("project", "until", "reason"), "seconds": {"type": "number", "exclusiveMinimum": 0}},
        errors=_ORDER,
    ),
    ("POST", f"{_AGENT}/resume"): Operation("End a suspension", "Ordered", body=_texts("project"), errors=_ORDER),
    ("POST", f"{_AGENT}/pin"): Operation(
        "Go back to an earlier commit of a project, and stay there",
        "Ordered",
        body={"project": _TEXT, "to": {"type": "string", "pattern": "^[0-9a-f]{4,40}$"}, "reason": _TEXT},
        needed=frozenset({"project", "to"}),
        errors=_ORDER,
    ),
    ("POST", f"{_AGENT}/unpin"): Operation(
        "Follow the ref again", "Ordered", body=_texts("project"), needed=_ONE, errors=_ORDER
    ),
    ("POST", f"{_AGENT}/reconcile"): Operation(
        "Sync again now",
        "Reconciled",
        listed=True,
        body={"projects": {"type": "array", "items": _TEXT}},
        errors=_ORDER,
    ),
    ("GET", f"{_AGENT}/overtaken"): Operation(
        "Say which revision an agent was sent instead of a commit",
        "Overtaken",
        query=("project", "commit"),
        needed=frozenset({"project", "commit"}),
        errors=_ORDER,
    ),
    ("GET", f"{_AGENT}/waiting-prune"): Operation(
        "Show the prune that waits for a confirmation", "WaitingPrune", query=("project",), needed=_ONE, errors=_ORDER
    ),
    ("POST", f"{_AGENT}/confirm-prune"): Operation(
        "Confirm the prune that was looked at",
        "Confirmed",
        body=_texts("project", "digest"),
        needed=frozenset({"project", "digest"}),
        errors=_ORDER,
    ),
    ("POST", DIFF): Operation(
        "Say what a revision would change in the cluster, as JSON lines",
        body={**_texts("project", "ref"), "seconds": {"type": "number", "minimum": 1}},
        errors=_ORDER,
        content="application/jsonlines",
    ),
    ("GET", f"{PREFIX}/self"): Operation("Show whose API token this is", "Self"),
    ("GET", f"{PREFIX}/api-tokens"): Operation("List API tokens, without secrets", "ApiToken", listed=True),
    ("POST", f"{PREFIX}/api-tokens"): Operation(
        "Make an API token",
        "CreatedApiToken",
        status=201,
        body={**_texts("name", "project", "expires_at"), "role": {"enum": [str(role) for role in Role]}},
        needed=frozenset({"name", "role"}),
        errors=_CONFLICT,
    ),
    ("DELETE", f"{PREFIX}/api-tokens/{{id}}"): Operation("Revoke an API token", "ApiToken"),
    ("GET", f"{PREFIX}/audit"): Operation(
        "Read the audit log", "AuditEntry", listed=True, query=("project", "limit", "watch")
    ),
    ("GET", OPENAPI): Operation("Show this document", open=True),
    ("POST", GRAPHQL): Operation("GitLab's GraphQL for agents and their tokens", errors=(415,)),
    ("GET", "/install/{project}/{agent}.yaml"): Operation(
        "Make a token, and answer the manifests that install an agent with it", content="application/yaml"
    ),
    **{
        ("GET", path): Operation("A file of the GraphQL explorer", open=True, page=True)
        for path in explorer.OPEN_ROUTES
    },
    **{("POST", path): Operation("A Git server tells of a push", open=True, page=True) for path in WEBHOOKS},
}
"""Every route of the API listener."""


class OpenApi:
    """Answers with the document."""

    def routes(self) -> list[web.RouteDef]:
        """Return the route to add, which is open."""
        return [web.get(OPENAPI, self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer ``GET /openapi.json``."""
        del request
        return json_answer(document(), headers={"Cache-Control": "max-age=300"})


@cache
def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "kas", "version": __version__, "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"}},
        "security": [{"apiToken": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas(), "Error": _error()},
            "securitySchemes": {"apiToken": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": operation.summary, "parameters": [*_in_path(path), *_in_query(operation)]}
    if operation.open:
        described["security"] = []
    if operation.body is not None:
        schema: Schema = {
            "type": "object",
            "properties": dict(operation.body),
            "required": sorted(operation.needed),
            "additionalProperties": False,
        }
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation.page:
        described["responses"] = {"default": {"description": "what it asks for, or why it is refused"}}
        return described
    responses = {str(operation.status): {"description": operation.summary, "content": _content(operation)}}
    for status in sorted({*_ALWAYS, *operation.errors}):
        content = {"application/json": {"schema": reference("Error")}}
        responses[str(status)] = {"description": _REASONS[status], "content": content}
    described["responses"] = responses
    return described


def _content(operation: Operation) -> dict[str, Any]:
    if operation.content != "application/json":
        return {operation.content: {"schema": {"type": "string"}}}
    if not operation.answer:
        return {"application/json": {"schema": {"type": "object"}}}
    schema = reference(operation.answer)
    if operation.listed:
        items = {"type": "array", "items": schema}
        schema = {
            "type": "object",
            "properties": {"items": items},
            "required": ["items"],
            "additionalProperties": False,
        }
    content = {"application/json": {"schema": schema}}
    return (
        {**content, "application/jsonlines": {"schema": {"type": "string"}}} if "watch" in operation.query else content
    )


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATHS[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in operation.needed,
            "schema": PARAMETERS[name][0],
            "description": PARAMETERS[name][1],
        }
        for name in operation.query
    ]


def _error() -> Schema:
    texts = dict.fromkeys(("reason", "message", "hint"), _TEXT)
    inner: Schema = {"type": "object", "properties": texts, "required": ["reason", "message"]}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}
