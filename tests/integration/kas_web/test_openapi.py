"""The OpenAPI document is what kas has: its routes, the parameters and keys that these take, and what they answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from kas.web.listener import api_app
from kas.web.openapi import OPENAPI, OPERATIONS

if TYPE_CHECKING:
    from aiohttp import web

    from kas.gitops.operating import Operator
    from tests.integration.kas_web.conftest import Kas


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    """Return method and path of each route, without patterns in the names of a path."""
    return {
        (route.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


async def test_every_route_is_in_the_document_and_no_other(kas: Kas) -> None:
    app = api_app(
        store=kas.store,
        sessions=kas.sessions,
        feed=kas.feed,
        poke=kas.poked.append,
        webhook_secret_files={},
        token_revoked=kas.forgotten_tokens.append,
        metrics=kas.metrics,
        operator=cast("Operator", object()),  # nothing is asked of it here
    )

    assert routes_of(app) == set(OPERATIONS)


async def test_it_is_served_to_everybody_and_nothing_else_of_the_api_is(kas: Kas) -> None:
    async with kas.http.get(f"{kas.address}{OPENAPI}") as answer:
        document: dict[str, Any] = await answer.json()

    assert answer.status == 200
    assert document["openapi"] == "3.1.0"
    opened = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        if one.get("security") == []
    }
    assert opened == {key for key, operation in OPERATIONS.items() if operation.open}
    assert not [path for _, path in opened if path.startswith("/api/") and path != OPENAPI]


READ_HERE = [
    # Those for orders are asked in tests/e2e/test_openapi.py, where there is somebody who carries orders out.
    key
    for key, one in OPERATIONS.items()
    if (one.query or one.body is not None) and 504 not in one.errors
]


@pytest.mark.parametrize(("method", "path"), READ_HERE)
async def test_a_route_takes_the_parameters_and_keys_that_are_documented(kas: Kas, method: str, path: str) -> None:
    """kas itself lists what it takes when it is given something else."""
    operation = OPERATIONS[method, path]
    where = path.removeprefix("/api/v1/").replace("{id}", "1")

    if operation.body is None:
        refused = await kas.call(method, f"{where}?nonsense=1", status=400)
    else:
        refused = await kas.call(method, where, {"nonsense": 1}, status=400)

    error = refused["error"]
    assert isinstance(error, dict)
    taken = re.sub(r"^(this path|it) takes: ", "", error["hint"]).split(", ")
    assert set(taken) == {*operation.query, *(operation.body or ())}
