"""Who may use the HTTP API: bearers of API tokens. Agents' tokens are ``kas.rpc.auth``'s business.

What a token opens is decided in ``kas.web.authorization``; here it is recognised, and guessing is slowed down.
"""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from agentlink.callers import household
from agentlink.logs import get_logger
from kas.rpc.admission import BusyError
from kas.rpc.auth import AGENT_TOKEN_PREFIX, API_TOKEN_PREFIX, hash_token
from kas.rpc.refusals import SECONDS_A_REFUSAL, Refusals
from kas.rpc.turns import Turns
from kas.store.records import Actor
from kas.store.times import utc_now
from kas.web.authorization import Caller, Role, grant_of
from kas.web.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from kas.store.store import Store

_LOOKUPS_AT_ONCE = 100
_LOOKUPS_WAITING = 2000
_LOOKUPS_WAITING_EACH = 200
"""Tokens that are being looked up, and that wait for it: of all addresses, and of one."""

ADMIN_ROLE = Role.ADMIN.value

_LONGEST_TOKEN = 256

log = get_logger("web")


def new_api_token() -> tuple[str, str]:
    """Make a token: the secret, to be shown once, and the hash to be stored."""
    secret = API_TOKEN_PREFIX + secrets.token_urlsafe(32)
    return secret, hash_token(secret)


class ApiAuthentication:
    """Recognises API tokens.

    Args:
        store: holds their hashes.
        clock: the time, for tokens that expire.
        monotonic: seconds, for slowing down who is refused again and again.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._refusals = Refusals(monotonic)
        self._lookups = Turns(
            _LOOKUPS_AT_ONCE,
            waiting=_LOOKUPS_WAITING,
            waiting_each=_LOOKUPS_WAITING_EACH,
            retry_after=SECONDS_A_REFUSAL,
            busy="too many API tokens from this address are being checked",
        )

    async def authenticate(self, secret: str | None, peer: str) -> Caller:
        """Return who has that secret.

        Raises:
            ApiError: 401 for who is not let in, with the same answer for unknown, expired and revoked tokens; 429
                when the address was refused too often.
            StoreUnavailable: nobody can be recognised now.
        """
        if secret is None:
            raise unauthorized("an API token is needed")
        # Others may come from the same address, through one proxy: they are let in, one look-up at a time.
        most = 1 if self._refusals.exhausted(peer) else None
        try:
            async with self._lookups.turn(household(peer), most=most):
                caller = await self.recognise(secret, peer)
        except BusyError as error:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", str(error), "wait a minute, then try again"
            ) from error
        if caller is not None:
            return caller
        if not self._refusals.take(peer):
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "TooManyRequests",
                "API tokens from this address were refused too often",
                "wait a minute, then try with a good token",
            )
        log.warning("An API token was refused", peer=peer)
        reason = "an agent's token" if secret.startswith(AGENT_TOKEN_PREFIX) else "not a valid API token"
        await self._store.audit.refused(
            Actor("", None, peer), "authenticate", project="", subject="the API", reason=reason
        )
        if secret.startswith(AGENT_TOKEN_PREFIX):
            raise unauthorized("this is an agent's token, which only agentk can use; the API takes API tokens")
        raise unauthorized("the API token is not valid")

    async def recognise(self, secret: str, peer: str) -> Caller | None:
        """Return who has that secret, None where nobody does; nothing is counted or noted.

        Raises:
            StoreUnavailable: nobody can be recognised now.
        """
        if len(secret) > _LONGEST_TOKEN or not secret.startswith(API_TOKEN_PREFIX) or not secret.isascii():
            return None
        token = await self._store.api_tokens.find(hash_token(secret))
        if token is None or not token.live(self._clock()):
            return None
        grant = grant_of(token.role, token.project)
        return None if grant is None else Caller(grant, Actor(token.name, token.id, peer))


def unauthorized(message: str) -> ApiError:
    """Refuse a caller who is not known."""
    hint = "send `Authorization: Bearer kasapi-…`; kas writes the first token to admin-token in its data_dir"
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", message, hint)
