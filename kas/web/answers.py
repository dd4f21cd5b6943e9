"""How handlers of ``/api/v1`` read an id and write JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from kas.web.queries import read_id

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "/api/v1"


def id_of(request: web.Request) -> int:
    """Return the id in a request's path.

    Raises:
        ApiError: it is none.
    """
    return read_id(request.match_info["id"])


def list_answer(values: object) -> web.Response:
    """Answer with a list."""
    return json_answer({"items": values})


def json_answer(
    value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a value."""
    return web.Response(
        body=orjson.dumps(value), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
