"""GraphQL's route, which loads what answers it with the first request: it is a quarter of what kas loads to start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from kas.web.middleware import GRAPHQL

if TYPE_CHECKING:
    from kas.store.store import Store
    from kas.web.connected import Connected
    from kas.web.graphql.endpoint import GraphQLEndpoint
    from kas.web.registration import Registration


class GraphQL:
    """Answers GraphQL requests by a ``GraphQLEndpoint`` of these parts."""

    def __init__(self, *, store: Store, sessions: Connected, registration: Registration) -> None:
        self._store = store
        self._sessions = sessions
        self._registration = registration
        self._endpoint: GraphQLEndpoint | None = None
        self._loading = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; none is open."""
        return [web.post(GRAPHQL, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one operation."""
        async with self._loading:
            if self._endpoint is None:
                # Half a second of loading must not hold up agents.
                self._endpoint = await asyncio.to_thread(self._load)
        return await self._endpoint.answer(request)

    def _load(self) -> GraphQLEndpoint:
        from kas.web.graphql.endpoint import GraphQLEndpoint  # noqa: PLC0415 - see above

        return GraphQLEndpoint(store=self._store, sessions=self._sessions, registration=self._registration)
