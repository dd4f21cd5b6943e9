"""The handlers of ``/api/v1`` about access: API tokens, the audit log, and who one is."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

from kas.store.times import utc_now
from kas.web import access_payloads
from kas.web.answers import PREFIX, id_of, json_answer, list_answer
from kas.web.authorization import Action, Caller
from kas.web.errors import ApiError
from kas.web.middleware import CALLER
from kas.web.queries import MAX_LIMIT, Query, read_new_api_token, read_query

if TYPE_CHECKING:
    from kas.store.store import Store
    from kas.web.registration import Registration
    from kas.web.watch import Change, Watching

_NONE: Final = frozenset[str]()
_AUDIT: Final = frozenset({"project", "limit", "watch"})
_AUDIT_LIMIT: Final = 200


class AccessApi:
    """The handlers and what they need.

    Args:
        store: holds the audit log.
        registration: makes and ends tokens.
        watching: serves ``?watch=1``.
    """

    def __init__(self, *, store: Store, registration: Registration, watching: Watching) -> None:
        self._store = store
        self._registration = registration
        self._watching = watching

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; none is open."""
        return [
            web.get(f"{PREFIX}/self", self.show_self),
            web.get(f"{PREFIX}/api-tokens", self.list_tokens),
            web.post(f"{PREFIX}/api-tokens", self.create_token),
            web.delete(f"{PREFIX}/api-tokens/{{id}}", self.revoke_token),
            web.get(f"{PREFIX}/audit", self.list_audit),
        ]

    async def show_self(self, request: web.Request) -> web.Response:
        """Answer ``GET /self``: whose token this is and what it may."""
        read_query(request.query, _NONE)
        caller = request[CALLER]
        return json_answer(
            access_payloads.Self(
                token_id=caller.actor.token_id,
                name=caller.actor.name,
                role=caller.grant.role.value,
                project=caller.grant.project,
            )
        )

    async def list_tokens(self, request: web.Request) -> web.Response:
        """Answer ``GET /api-tokens``."""
        read_query(request.query, _NONE)
        return list_answer(
            [access_payloads.api_token(token) for token in await self._registration.api_tokens(request[CALLER])]
        )

    async def create_token(self, request: web.Request) -> web.Response:
        """Answer ``POST /api-tokens`` with the secret, this once."""
        new = read_new_api_token(await request.read(), utc_now())
        made = await self._registration.create_api_token(request[CALLER], new)
        created = access_payloads.created_api_token(made.record, made.secret)
        return json_answer(created, HTTPStatus.CREATED, {"Cache-Control": "no-store"})

    async def revoke_token(self, request: web.Request) -> web.Response:
        """Answer ``DELETE /api-tokens/{id}``; watches with that token end within seconds."""
        return json_answer(
            access_payloads.api_token(await self._registration.revoke_api_token(request[CALLER], id_of(request)))
        )

    async def list_audit(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /audit``."""
        query = read_query(request.query, _AUDIT)
        within = _scope(request[CALLER], query.project)
        lines = AuditLines(self._store, within, query)
        if query.watch:
            return await self._watching.serve(request, lines)
        return list_answer([entry for _, entry in await lines.changes()])


class AuditLines:
    """A source for watches that reads on from the last line: lines never change, they only become more."""

    def __init__(self, store: Store, within: str, query: Query) -> None:
        self._store = store
        self._within = within
        self._limit = query.limit or _AUDIT_LIMIT
        self._after: int | None = None

    async def changes(self) -> list[Change]:
        """See ``kas.web.watch.Source``."""
        limit = self._limit if self._after is None else MAX_LIMIT
        found = await self._store.audit.list(after=self._after, within=self._within, limit=limit)
        self._after = max((record.seq for record in found), default=self._after or 0)
        return [("ADDED", access_payloads.audit_entry(record)) for record in found]


def _scope(caller: Caller, asked: str | None) -> str:
    """Return the project or group whose lines are to be shown, empty for all.

    Raises:
        ApiError: the caller may not read them.
    """
    within = caller.grant.project if asked is None else asked
    if caller.may(Action.AUDIT, within):
        return within
    grant = caller.grant
    bound = f" of {grant.project}" if grant.project else ""
    hint = f"your API token has the role {grant.role}{bound}; ask an administrator"
    raise ApiError(HTTPStatus.FORBIDDEN, "Forbidden", "your API token does not allow reading this audit log", hint)
