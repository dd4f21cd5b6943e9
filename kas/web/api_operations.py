"""The handlers of ``/api/v1`` for what people order of agents; docs/http-api.md is for callers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from kas.gitops.operating import DiffStarted
from kas.store.errors import StoreError
from kas.store.times import utc_now
from kas.web import operation_payloads as payloads
from kas.web.answers import PREFIX, id_of, json_answer, list_answer
from kas.web.authentication import unauthorized
from kas.web.errors import ApiError, bad_request, of_store
from kas.web.middleware import CALLER, DIFF, HANDLING_TIMEOUT
from kas.web.operations import OPERATION_ERRORS, of_operation
from kas.web.orders import (
    read_confirm,
    read_diff,
    read_pin,
    read_reconcile,
    read_resume,
    read_suspend,
    read_unpin,
)
from kas.web.queries import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from kas.gitops.answers import Answered
    from kas.gitops.operating import Operator
    from kas.web.operations import Operations
    from kas.web.reader import Reader

_AGENT: Final = f"{PREFIX}/agents/{{id}}"

_HISTORY: Final = frozenset({"agent", "project", "limit"})
_OVERTAKEN: Final = frozenset({"project", "commit"})
_WAITING: Final = frozenset({"project"})
_LINES: Final = 20

HEARTBEAT_SECONDS: Final = 5.0
"""Also how soon a revoked API token ends a diff."""

_WRITE_SECONDS: Final = 30.0
_AHEAD: Final = 4

Line = dict[str, object]


class OperationsApi:
    """The handlers and what they need.

    Args:
        operations: carries orders out.
        reader: reads histories.
        operator: reads what commits say of themselves.
        still_allowed: tells whether the bearer of a request may still read.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        reader: Reader,
        operator: Operator,
        still_allowed: Callable[[web.Request], Awaitable[bool]],
    ) -> None:
        self._operations = operations
        self._reader = reader
        self._operator = operator
        self._still_allowed = still_allowed

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; none is open."""
        return [
            web.post(f"{_AGENT}/suspend", self.suspend),
            web.post(f"{_AGENT}/resume", self.resume),
            web.post(f"{_AGENT}/pin", self.pin),
            web.post(f"{_AGENT}/unpin", self.unpin),
            web.post(f"{_AGENT}/reconcile", self.reconcile),
            web.get(f"{_AGENT}/overtaken", self.overtaken),
            web.get(f"{_AGENT}/waiting-prune", self.waiting_prune),
            web.post(f"{_AGENT}/confirm-prune", self.confirm_prune),
            web.post(DIFF, self.diff),
            web.get(f"{PREFIX}/history", self.history),
        ]

    async def suspend(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/suspend``."""
        order = read_suspend(await request.read(), utc_now())
        return json_answer(await self._operations.suspend(request[CALLER], id_of(request), order))

    async def resume(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/resume``."""
        project = read_resume(await request.read()).project
        return json_answer(await self._operations.resume(request[CALLER], id_of(request), project))

    async def pin(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/pin``."""
        order = read_pin(await request.read())
        return json_answer(await self._operations.pin(request[CALLER], id_of(request), order))

    async def unpin(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/unpin``."""
        project = read_unpin(await request.read())
        return json_answer(await self._operations.unpin(request[CALLER], id_of(request), project))

    async def reconcile(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/reconcile`` with one line a project."""
        projects = read_reconcile(await request.read())
        return list_answer(await self._operations.reconcile(request[CALLER], id_of(request), projects))

    async def overtaken(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}/overtaken``."""
        query = read_query(request.query, _OVERTAKEN)
        if query.project is None or query.commit is None:
            raise bad_request(
                "the parameters project and commit are needed", "add ?project=GROUP/PROJECT&commit=COMMIT"
            )
        operations = self._operations
        return json_answer(await operations.overtaken(request[CALLER], id_of(request), query.project, query.commit))

    async def waiting_prune(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}/waiting-prune``."""
        query = read_query(request.query, _WAITING)
        if query.project is None:
            raise bad_request("the parameter project is missing", "add ?project=GROUP/PROJECT")
        return json_answer(await self._operations.waiting_prune(request[CALLER], id_of(request), query.project))

    async def confirm_prune(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/confirm-prune``."""
        order = read_confirm(await request.read())
        return json_answer(await self._operations.confirm_prune(request[CALLER], id_of(request), order))

    async def history(self, request: web.Request) -> web.Response:
        """Answer ``GET /history``: syncs, suspensions and pins of one project, the newest first."""
        query = read_query(request.query, _HISTORY)
        if query.agent is None or query.project is None:
            raise bad_request("the parameters agent and project are needed", "add ?agent=NAME&project=GROUP/PROJECT")
        syncs, holds = await self._reader.of(request[CALLER]).history(query)
        commits = await self._operator.commits(query.project, [sync["commit"] for sync in syncs])
        now = utc_now()
        entries = [payloads.entry_of_sync(sync, commits.get(sync["commit"])) for sync in syncs]
        entries += [payloads.entry_of_hold(hold, now) for hold in holds]
        entries.sort(key=lambda entry: entry["at"], reverse=True)
        return list_answer(entries[: query.limit or _LINES])

    async def diff(self, request: web.Request) -> web.StreamResponse:
        """Answer ``POST /agents/{id}/diff`` with JSON lines; what fails before the first is an error as elsewhere."""
        async with asyncio.timeout(HANDLING_TIMEOUT):
            order = read_diff(await request.read())
        lines = self._diff_lines(self._operations.diff(request[CALLER], id_of(request), order))
        async with aclosing(lines):
            try:
                first = await anext(lines)
            except OPERATION_ERRORS as error:
                raise of_operation(error) from error
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/jsonlines",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            with suppress(ConnectionError, TimeoutError):
                await response.prepare(request)
                await _send(response, first)
                await self._send_all(request, response, lines)
                await response.write_eof()
        return response

    async def _diff_lines(
        self, parts: AsyncGenerator[tuple[object, DiffStarted | Answered], None]
    ) -> AsyncGenerator[Line, None]:
        project = ""
        async with aclosing(parts):
            async for _, part in parts:
                if isinstance(part, DiffStarted):
                    project = part.project
                    yield {"type": "PROJECT", "object": payloads.diff_started(part)}
                    continue
                for found in part.objects:
                    if found.result != "unchanged":
                        yield {"type": "OBJECT", "object": payloads.object_diff(project, found)}
                if part.done and part.reason:
                    yield _end(ApiError(HTTPStatus.CONFLICT, part.reason, part.message or part.reason))
                    return
                if part.done:
                    yield {"type": "PROJECT_END", "object": payloads.diff_end(project, part)}
        yield _end(None)

    async def _send_all(
        self, request: web.Request, response: web.StreamResponse, lines: AsyncGenerator[Line, None]
    ) -> None:
        """Send lines as they come, and a heartbeat while there are none.

        Raises:
            ConnectionError: the reader is gone.
            TimeoutError: it takes nothing.
        """
        coming: asyncio.Queue[Line] = asyncio.Queue(_AHEAD)
        broken: list[ConnectionError | TimeoutError] = []
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read(lines, coming))
            try:
                await self._forward(request, response, coming)
            except (ConnectionError, TimeoutError) as error:
                broken.append(error)
            finally:
                reading.cancel()
        if broken:
            raise broken[0]

    async def _forward(self, request: web.Request, response: web.StreamResponse, coming: asyncio.Queue[Line]) -> None:
        while True:
            line: Line = {"type": "HEARTBEAT"}
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    line = await coming.get()
            if line["type"] == "HEARTBEAT":
                with suppress(StoreError):
                    if not await self._still_allowed(request):
                        line = _end(unauthorized("the API token is no longer valid"))
            await _send(response, line)
            if line["type"] == "END":
                return


async def _read(lines: AsyncGenerator[Line, None], coming: asyncio.Queue[Line]) -> None:
    """Hand lines over; what goes wrong on the way becomes the last one."""
    try:
        async for line in lines:
            await coming.put(line)
    except OPERATION_ERRORS as error:
        await coming.put(_end(of_operation(error)))
    except StoreError as error:
        await coming.put(_end(of_store(error)))


def _end(error: ApiError | None) -> Line:
    if error is None:
        return {"type": "END", "error": None}
    return {"type": "END", "error": {"reason": error.reason, "message": error.message, "hint": error.hint}}


async def _send(response: web.StreamResponse, line: Line) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(orjson.dumps(line) + b"\n")
