"""``POST /api/graphql``: one operation a request, as JSON.

Well-formed requests are answered with status 200, errors inside, as GitLab does it. The limits come before anything is
run, and those that guard parsing before that.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web
from graphql import GraphQLError, get_operation_ast, parse

from kas.web.errors import ApiError, bad_request
from kas.web.graphql.limits import MAX_TOKENS, check_document, check_text
from kas.web.graphql.schema import SCHEMA, error_of
from kas.web.graphql.types import Request
from kas.web.middleware import CALLER

if TYPE_CHECKING:
    from kas.store.store import Store
    from kas.web.connected import Connected
    from kas.web.registration import Registration

_WHICH: Final = "operationName must name one of the operations in the query, unless there is only one"

_KEYS: Final = frozenset({"query", "variables", "operationName", "extensions"})


class GraphQLEndpoint:
    """Answers GraphQL requests.

    Args:
        store: what kas keeps.
        sessions: who is connected.
        registration: makes changes.
    """

    def __init__(self, *, store: Store, sessions: Connected, registration: Registration) -> None:
        self._store = store
        self._sessions = sessions
        self._registration = registration

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one operation."""
        if request.content_type != "application/json":
            raise ApiError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                f"a GraphQL request is JSON, and this is {request.content_type}",
                "send the header Content-Type: application/json",
            )
        query, variables, operation = _read(await request.read())
        try:
            _check(query, variables, operation)
        except GraphQLError as error:
            return _json({"errors": [error_of(error)]})
        context = Request(request[CALLER], self._store, self._sessions, self._registration)
        result = await SCHEMA.execute(query, variables, context_value=context, operation_name=operation)
        answer: dict[str, object] = {} if result.data is None and result.errors else {"data": result.data}
        if result.errors:
            answer["errors"] = [error_of(error) for error in result.errors]
        if context.warnings:
            answer["extensions"] = {"warnings": context.warnings}
        return _json(answer)


def _check(query: str, variables: dict[str, object], operation: str | None) -> None:
    """Raise GraphQLError for what must not be run."""
    check_text(query)
    document = parse(query, no_location=True, max_tokens=MAX_TOKENS)
    if get_operation_ast(document, operation) is None:
        raise GraphQLError(_WHICH)
    check_document(document, variables)


def _read(body: bytes) -> tuple[str, dict[str, object], str | None]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request("the body is not JSON", 'send {"query": "…", "variables": {…}}') from error
    if isinstance(value, list):
        raise bad_request("several operations in one request are not supported", "send them one after another")
    if not isinstance(value, dict) or not isinstance(value.get("query"), str):
        raise bad_request("the body has no query", 'send {"query": "…", "variables": {…}}')
    if unknown := value.keys() - _KEYS:
        raise bad_request(f"unknown key {min(unknown)[:64]!r} in the body", f"it takes: {', '.join(sorted(_KEYS))}")
    variables, operation = value.get("variables"), value.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(operation, str | None):
        raise bad_request("variables must be an object and operationName text", "leave out what is not needed")
    return value["query"], variables or {}, operation


def _json(value: object) -> web.Response:
    # A token's secret may be in it.
    return web.Response(
        body=orjson.dumps(value),
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )
