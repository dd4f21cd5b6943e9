"""Who is calling: from a bearer token to an agent's identity. Knows nothing of gRPC, so that other services can use it.

Tokens hold 256 random bits. Nobody guesses those, so a plain SHA-256 is enough to keep them by; a slow password hash
would only make every call slow. What a stolen database shows is useless either way. Nor does the time of a look-up tell
anything: it depends on the hash, and nobody can choose a secret by how its SHA-256 begins. (A comparison in constant
time would only be needed if secrets themselves were compared, which happens nowhere.)
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from agentlink import logs
from agentlink.callers import household
from kas.rpc.refusals import Refusals
from kas.rpc.sessions import AgentIdentity
from kas.rpc.turns import Turns
from kas.store.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kas.store.records import AgentRecord, TokenRecord

AGENT_TOKEN_PREFIX = "glagent-"  # noqa: S105 - what every token begins with, so that scanners and people recognise it

API_TOKEN_PREFIX = "kasapi-"  # noqa: S105 - as above; these are people's, ``kas.web.authentication`` knows them

_RANDOM_BYTES = 40
"""320 bits: with the prefix as long as GitLab's tokens, 50 characters and more."""

_FORM = re.compile(rf"{AGENT_TOKEN_PREFIX}[A-Za-z0-9_-]{{54}}")
"""What every token looks like. What does not is refused without a question to the store."""

CACHE_SECONDS = 5.0
"""How long a token that was found is believed without asking the store. In this process a revocation counts at once."""

BELIEVED_SECONDS = 3600.0
"""How long it is believed while the store is away: an agent that reconnects then is not sent off."""

_CACHED_TOKENS = 20_000

_FAMILIAR_TOKENS = 20_000

_LOOKUPS_AT_ONCE = 1000
"""Tokens being looked up; the store answers about as many in a second."""

_LOOKUPS_OF_AN_ADDRESS = 500
"""Of these, for one address. One that was refused again and again has a single one."""

_LOOKUPS_WAITING = 20_000
_LOOKUPS_WAITING_EACH = 1000
"""Look-ups that wait, of all addresses and of one: in a single file of a few milliseconds each."""

_LOOKUPS_BUSY_SECONDS = 2.0

_FAMILIAR = ""
"""The lane of tokens that were good once. No address is called so."""

log = logs.get_logger("rpc")


class Refusal(StrEnum):
    """Why a caller was refused; CamelCase as in events."""

    MISSING = "TokenMissing"
    MALFORMED = "TokenMalformed"
    WRONG_KIND = "TokenOfWrongKind"
    UNKNOWN = "TokenUnknown"
    REVOKED = "TokenRevoked"


_WHAT_TO_DO = {
    Refusal.MISSING: "no token was sent: start agentk with --token-file or AGENTK_TOKEN",
    Refusal.MALFORMED: "what was sent is not a token: copy the whole line that `kas token create` printed",
    Refusal.WRONG_KIND: "the token is one for kas' API, which people use: an agent needs one of its own, "
    "create it with `kas token create`",
    Refusal.UNKNOWN: "the token is not known here: check that it is whole and meant for this kas, "
    "or create one with `kas token create`",
    Refusal.REVOKED: "the token was revoked: create one with `kas token create` and put it into the agent's token file",
}


class RefusedError(Exception):
    """The caller is not let in. ``limited``: its address was refused so often that it is slowed down.

    ``agent_id`` is known when the token once was an agent's.
    """

    def __init__(self, reason: Refusal, agent_id: int | None = None, *, limited: bool = False) -> None:
        super().__init__(_WHAT_TO_DO[reason])
        self.reason = reason
        self.agent_id = agent_id
        self.limited = limited


class TokenStore(Protocol):
    """What the authenticator asks of the store; ``kas.store.tokens.Tokens`` is one."""

    async def find(self, token_hash: str) -> tuple[TokenRecord, AgentRecord] | None:
        """Return the token with that hash and its agent, even when revoked."""

    async def touch(self, token_id: int) -> None:
        """Note that a token was used."""

    async def live(self, most: int) -> Collection[str]:
        """Return the hashes of tokens that are not revoked, at most so many: those that were used last."""


def new_agent_token() -> tuple[str, str]:
    """Make a token: the secret, to be shown once, and the hash to be stored."""
    secret = AGENT_TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return secret, hash_token(secret)


def hash_token(secret: str) -> str:
    """Return the SHA-256 of a token as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Authenticator:
    """Turns the ``authorization`` of a call into an identity, or refuses it."""

    def __init__(
        self,
        tokens: TokenStore,
        on_refused: Callable[[Refusal, str, int | None], None],
        *,
        in_use: Callable[[AgentIdentity], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use ``tokens`` to look up.

        Args:
            tokens: the store.
            on_refused: is told of refusals, within the limit: why, by which peer, and the agent's id if it is known.
            in_use: tells whether a session is open that a token of this identity opened. It is believed for as long,
                since a revocation that is noticed ends both.
            clock: monotonic, in seconds.
        """
        self._tokens = tokens
        self._on_refused = on_refused
        self._in_use = in_use
        self._clock = clock
        self._cache: OrderedDict[str, tuple[float, AgentIdentity]] = OrderedDict()
        self._revoked: set[int] = set()
        self._refusals = Refusals(clock)
        self._familiar: OrderedDict[str, None] = OrderedDict()
        self._lookups = Turns(
            _LOOKUPS_AT_ONCE,
            waiting=_LOOKUPS_WAITING,
            waiting_each=_LOOKUPS_WAITING_EACH,
            retry_after=_LOOKUPS_BUSY_SECONDS,
            busy="kas checks many tokens just now",
        )

    async def prepare(self) -> None:
        """Get familiar with the tokens that there are, so that strangers hold up no agent that comes back.

        Raises:
            StoreError: the store cannot say; all goes on without.
        """
        for token_hash in await self._tokens.live(_FAMILIAR_TOKENS):
            self._get_familiar(token_hash)

    async def authenticate(self, authorization: str | None, peer: str) -> AgentIdentity:
        """Return whose token it is.

        Args:
            authorization: the call's metadata value, ``Bearer <token>``.
            peer: the caller's address, without the port.

        Raises:
            RefusedError: the caller is not let in.
            BusyError: too many tokens of this address are being looked up.
            StoreError: the store cannot say.
        """
        token_hash = _hash_of(authorization)
        if isinstance(token_hash, Refusal):
            raise self._refuse(token_hash, peer, None)
        cached = self._cache.get(token_hash)
        if cached is not None and self._clock() < cached[0]:
            return cached[1]
        if cached is not None and self._in_use(cached[1]):
            await self._used(token_hash, cached[1])
            return cached[1]
        if token_hash in self._familiar:
            # Only who once had a good token can come by here. It is not believed: it is looked up before strangers'.
            lane, most = _FAMILIAR, None
        else:
            # Others may come from the same address, through one proxy: they are let in, one look-up at a time.
            lane, most = household(peer), 1 if self._refusals.exhausted(peer) else _LOOKUPS_OF_AN_ADDRESS
        async with self._lookups.turn(lane, most=most):
            return await self._look_up(token_hash, peer, cached)

    async def _look_up(self, token_hash: str, peer: str, cached: tuple[float, AgentIdentity] | None) -> AgentIdentity:
        try:
            found = await self._tokens.find(token_hash)
        except StoreUnavailable:
            known = cached is not None and not self.is_revoked(cached[1].token_id)
            if cached is None or not known or self._clock() > cached[0] + BELIEVED_SECONDS:
                raise
            return cached[1]
        if found is None:
            self._forget(token_hash)
            raise self._refuse(Refusal.UNKNOWN, peer, None)
        token, agent = found
        if token.revoked_at is not None or token.id in self._revoked:
            self._forget(token_hash)
            raise self._refuse(Refusal.REVOKED, peer, agent.id)
        identity = AgentIdentity(agent.id, agent.name, agent.project, token.id)
        await self._used(token_hash, identity)
        return identity

    async def _used(self, token_hash: str, identity: AgentIdentity) -> None:
        """Believe a token for a while, and note that it was used."""
        self._remember(token_hash, identity)
        try:
            await self._tokens.touch(identity.token_id)
        except StoreError as error:
            log.warning("The use of a token could not be noted", agent_id=identity.agent_id, error=error)

    def is_revoked(self, token_id: int) -> bool:
        """Tell whether the token was revoked while its call was on its way in."""
        return token_id in self._revoked

    def revoke(self, token_id: int) -> None:
        """Believe this token no longer; call it after the store has revoked it."""
        self._revoked.add(token_id)
        for token_hash in [held for held, (_, identity) in self._cache.items() if identity.token_id == token_id]:
            self._forget(token_hash)

    def _forget(self, token_hash: str) -> None:
        self._cache.pop(token_hash, None)
        self._familiar.pop(token_hash, None)

    def _get_familiar(self, token_hash: str) -> None:
        self._familiar[token_hash] = None
        self._familiar.move_to_end(token_hash)
        if len(self._familiar) > _FAMILIAR_TOKENS:
            self._familiar.popitem(last=False)

    def _remember(self, token_hash: str, identity: AgentIdentity) -> None:
        if identity.token_id in self._revoked:
            return
        self._cache[token_hash] = (self._clock() + CACHE_SECONDS, identity)
        self._cache.move_to_end(token_hash)
        if len(self._cache) > _CACHED_TOKENS:
            self._cache.popitem(last=False)
        self._get_familiar(token_hash)

    def _refuse(self, reason: Refusal, peer: str, agent_id: int | None) -> RefusedError:
        limited = not self._refusals.take(peer)
        if not limited:
            log.warning("Agent refused", reason=reason, peer=peer, agent_id=agent_id)
            self._on_refused(reason, peer, agent_id)
        return RefusedError(reason, agent_id, limited=limited)


def _hash_of(authorization: str | None) -> str | Refusal:
    if not authorization:
        return Refusal.MISSING
    kind, _, secret = authorization.partition(" ")
    if kind.lower() == "bearer" and secret.startswith(API_TOKEN_PREFIX):
        return Refusal.WRONG_KIND
    if kind.lower() != "bearer" or not _FORM.fullmatch(secret):
        return Refusal.MALFORMED
    return hash_token(secret)
