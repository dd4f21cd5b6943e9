"""The handlers of ``/api/v1``: each reads the request, asks one question or makes one change, and writes the answer.

The shapes are in ``kas.web.payloads``, what callers may ask in ``kas.web.queries``; docs/http-api.md is for them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from agentlink.logs import get_logger
from kas.rpc.auth import new_agent_token
from kas.web import payloads
from kas.web.errors import bad_request
from kas.web.queries import Query, read_id, read_new_agent, read_new_token, read_query
from kas.web.watch import Change, Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kas.rpc.sessions import Sessions
    from kas.store.store import Store
    from kas.web.reader import Reader
    from kas.web.watch import Watching

PREFIX = "/api/v1"

_NONE: frozenset[str] = frozenset()
_AGENTS = frozenset({"agent", "project", "watch"})
_SYNCS = frozenset({"agent", "project", "state", "all", "limit", "watch"})
_TREE = frozenset({"agent", "project", "watch"})
_EVENTS = frozenset({"agent", "project", "type", "limit", "watch"})

log = get_logger("web")


class Api:
    """The handlers and what they need.

    Args:
        store: what kas keeps.
        sessions: who is connected.
        reader: reads both for lists.
        watching: serves ``?watch=1``.
        token_revoked: told the id of each agent token that was just revoked, so that no cache goes on believing it.
    """

    def __init__(
        self,
        *,
        store: Store,
        sessions: Sessions,
        reader: Reader,
        watching: Watching,
        token_revoked: Callable[[int], None],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._reader = reader
        self._watching = watching
        self._token_revoked = token_revoked

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

        async def read() -> Mapping[object, object]:
            return {agent["id"]: agent for agent in reversed(await self._reader.agents(query))}

        if query.watch:
            return await self._watching.serve(request, Snapshots(read))
        return _items(await self._reader.agents(query))

    async def create_agent(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents``."""
        new = read_new_agent(await request.read())
        record = await self._store.agents.create(new.project, new.name, agent_id=new.agent_id)
        log.info("Agent registered", agent_id=record.id, agent=record.name, project=record.project)
        (described,) = await self._reader.describe([record])
        return _json(described, HTTPStatus.CREATED)

    async def show_agent(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}``."""
        read_query(request.query, _NONE)
        (described,) = await self._reader.describe([await self._store.agents.get(_id(request))])
        return _json(described)

    async def delete_agent(self, request: web.Request) -> web.Response:
        """Answer ``DELETE /agents/{id}``: revoke its tokens, end its connections, forget it."""
        record = await self._store.agents.get(_id(request))
        (described,) = await self._reader.describe([record])
        for token in await self._store.tokens.list(record.id):
            await self._store.tokens.revoke(token.id)
            self._token_revoked(token.id)
        await self._store.agents.delete(record.id)
        closed = self._sessions.close_agent(record.id)
        log.info("Agent deleted", agent_id=record.id, agent=record.name, project=record.project, connections=closed)
        return _json(described)

    async def list_tokens(self, request: web.Request) -> web.Response:
        """Answer ``GET /agents/{id}/tokens``."""
        read_query(request.query, _NONE)
        return _items(await self._reader.tokens(_id(request)))

    async def create_token(self, request: web.Request) -> web.Response:
        """Answer ``POST /agents/{id}/tokens``; the only answer that holds a secret."""
        agent = await self._store.agents.get(_id(request))
        name, description = read_new_token(await request.read())
        secret, token_hash = new_agent_token()
        record = await self._store.tokens.create(agent.id, name, description, token_hash)
        log.info("Agent token created", agent_id=agent.id, token_id=record.id)
        created = payloads.created_token(payloads.token(record, agent.name), secret)
        return _json(created, HTTPStatus.CREATED, {"Cache-Control": "no-store"})

    async def revoke_token(self, request: web.Request) -> web.Response:
        """Answer ``DELETE /tokens/{id}``; the token's connections end at once."""
        record = await self._store.tokens.revoke(_id(request))
        self._token_revoked(record.id)
        closed = self._sessions.close_token(record.id)
        log.info("Agent token revoked", agent_id=record.agent_id, token_id=record.id, connections=closed)
        agent = await self._store.agents.get(record.agent_id)
        return _json(payloads.token(record, agent.name))

    async def list_syncs(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /syncs``."""
        query = read_query(request.query, _SYNCS)
        if query.watch:
            return await self._watching.serve(request, Snapshots(lambda: self._reader.syncs(query)))
        return _items([*(await self._reader.syncs(query)).values()])

    async def show_tree(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /tree``."""
        query = read_query(request.query, _TREE)
        if query.agent is None:
            raise bad_request("the parameter agent is missing", "add ?agent=NAME or ?agent=PROJECT:NAME")

        async def read() -> Mapping[object, object]:
            return {"tree": await self._reader.tree(query)}

        if query.watch:
            return await self._watching.serve(request, Snapshots(read))
        return _json(await self._reader.tree(query))

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /events``."""
        query = read_query(request.query, _EVENTS)
        if query.watch:
            return await self._watching.serve(request, NewEvents(self._reader, query))
        items, _ = await self._reader.events(query, after=None)
        return _items(items)


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


def _id(request: web.Request) -> int:
    return read_id(request.match_info["id"])


def _items(items: object) -> web.Response:
    return _json({"items": items})


def _json(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
