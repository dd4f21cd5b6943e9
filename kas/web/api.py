"""The handlers of ``/api/v1``: each reads the request, asks one question or makes one change, and writes the answer.

The shapes are in ``kas.web.payloads``, what callers may ask in ``kas.web.queries``; docs/http-api.md is for them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from kas.web import payloads
from kas.web.answers import PREFIX, id_of, json_answer, list_answer
from kas.web.errors import bad_request
from kas.web.middleware import CALLER
from kas.web.queries import Query, read_new_agent, read_new_token, read_query
from kas.web.watch import Change, Snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kas.web.reader import Reader
    from kas.web.registration import Registration
    from kas.web.watch import Watching

_NONE: frozenset[str] = frozenset()
_AGENTS = frozenset({"agent", "project", "watch"})
_SYNCS = frozenset({"agent", "project", "state", "all", "limit", "watch"})
_TREE = frozenset({"agent", "project", "limit", "cursor", "watch"})
_EVENTS = frozenset({"agent", "project", "type", "limit", "watch"})


class Api:
    """The handlers and what they need.

    Args:
        reader: reads what is asked for.
        watching: serves ``?watch=1``.
        registration: makes changes.
    """

    def __init__(self, *, reader: Reader, watching: Watching, registration: Registration) -> None:
        self._reader = reader
        self._watching = watching
        self._registration = registration

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; none is open."""
        return [
            web.get(f"{PREFIX}/agents", self.list_agents),
            web.post(f"{PREFIX}/agents", self.create_agent),
            web.get(f"{PREFIX}/agents/{{id}}", self.show_agent),
            web.delete(f"{PREFIX}/agents/{{id}}", self.delete_agent),
            web.get(f"{PREFIX}/agents/{{id}}/tokens", self.list_tokens),
            web.post(f"{PREFIX}/agents/{{id}}/tokens", self.create_token),
            web.delete(f"{PREFIX}/tokens/{{id}}", self.revoke_token),
            web.get(f"{PREFIX}/syncs", self.list_syncs),
            web.get(f"{PREFIX}/tree", self.show_tree),
            web.get(f"{PREFIX}/events", self.list_events),
        ]

    async def list_agents(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /agents``."""
        query = read_query(request.query, _AGENTS)
        reader = self._reader.of(request[CALLER])

        async def read() -> Mapping[object, object]:
            return {agent["id"]: agent for agent in reversed(await reader.agents(query))}

        if query.watch:
            return await self._watching.serve(request, Snapshots(read))
        return list_answer(await reader.agents(query))

    async def create_agent(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents``."""
        new = read_new_agent(await request.read())
        record = await self._registration.create_agent(request[CALLER], new)
        (described,) = await self._reader.describe([record])
        warnings = await self._registration.doubts(record.project)
        return json_answer(payloads.CreatedAgent(**described, warnings=warnings), HTTPStatus.CREATED)

    async def show_agent(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}``."""
        read_query(request.query, _NONE)
        record = await self._registration.agent(request[CALLER], id_of(request))
        (described,) = await self._reader.describe([record])
        return json_answer(described)

    async def delete_agent(self, request: web.Request) -> web.Response:
        """Answer ``DELETE /agents/{id}`` with the agent as it was."""
        record = await self._registration.agent(request[CALLER], id_of(request))
        (described,) = await self._reader.describe([record])
        await self._registration.delete_agent(request[CALLER], record.id)
        return json_answer(described)

    async def list_tokens(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}/tokens``."""
        read_query(request.query, _NONE)
        return list_answer(await self._reader.of(request[CALLER]).tokens(id_of(request)))

    async def create_token(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/tokens`` with the secret, this once."""
        agent_id = id_of(request)
        new = read_new_token(await request.read())
        made = await self._registration.create_token(request[CALLER], agent_id, new)
        created = payloads.created_token(payloads.token(made.record, made.agent.name), made.secret)
        return json_answer(created, HTTPStatus.CREATED, {"Cache-Control": "no-store"})

    async def revoke_token(self, request: web.Request) -> web.Response:
        """Answer ``DELETE /tokens/{id}``; the token's connections end at once."""
        record, agent = await self._registration.revoke_token(request[CALLER], id_of(request))
        return json_answer(payloads.token(record, agent.name))

    async def list_syncs(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /syncs``."""
        query = read_query(request.query, _SYNCS)
        reader = self._reader.of(request[CALLER])
        if query.watch:
            return await self._watching.serve(request, Snapshots(lambda: reader.syncs(query)))
        return list_answer([*(await reader.syncs(query)).values()])

    async def show_tree(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /tree``."""
        query = read_query(request.query, _TREE)
        if query.agent is None:
            raise bad_request("the parameter agent is missing", "add ?agent=NAME or ?agent=PROJECT:NAME")
        if query.watch and (query.limit or query.after):
            raise bad_request("limit and cursor are for one page, and a watch shows the whole tree", "leave them out")
        reader = self._reader.of(request[CALLER])

        async def read() -> Mapping[object, object]:
            return {"tree": await reader.tree(query)}

        if query.watch:
            return await self._watching.serve(request, Snapshots(read))
        return json_answer(await reader.tree(query))

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /events``."""
        query = read_query(request.query, _EVENTS)
        reader = self._reader.of(request[CALLER])
        if query.watch:
            return await self._watching.serve(request, NewEvents(reader, query))
        items, _ = await reader.events(query, after=None)
        return list_answer(items)


class NewEvents:
    """A source for watches that reads on from the last event: events never change, they only become more."""

    def __init__(self, reader: Reader, query: Query) -> None:
        self._reader = reader
        self._query = query
        self._after: int | None = None

    async def changes(self) -> list[Change]:
        """See ``kas.web.watch.Source``."""
        items, self._after = await self._reader.events(self._query, after=self._after)
        return [("ADDED", item) for item in items]
