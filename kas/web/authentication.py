"""Who may use the HTTP API: bearers of API tokens. Agents' tokens are ``kas.rpc.auth``'s business."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from kas.rpc.auth import hash_token
from kas.store.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from kas.store.store import Store

API_TOKEN_PREFIX = "kasapi-"  # noqa: S105 -- what every token begins with, so that scanners and people recognise it

ADMIN_ROLE = "admin"
"""The role that may do everything; the only one there is."""

_LONGEST_TOKEN = 256


def new_api_token() -> tuple[str, str]:
    """Make a token: the secret, to be shown once, and the hash to be stored."""
    secret = API_TOKEN_PREFIX + secrets.token_urlsafe(32)
    return secret, hash_token(secret)


class ApiAuthentication:
    """Recognises API tokens; usable as ``kas.web.middleware.Authenticate``."""

    def __init__(self, store: Store, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def __call__(self, secret: str) -> bool:
        """Return True for the secret of an administrator's token that is neither expired nor revoked.

        Raises:
            StoreUnavailable: nobody can be recognised now.
        """
        if len(secret) > _LONGEST_TOKEN or not secret.startswith(API_TOKEN_PREFIX) or not secret.isascii():
            return False
        token = await self._store.api_tokens.find(hash_token(secret))
        return token is not None and token.role == ADMIN_ROLE and token.live(self._clock())
