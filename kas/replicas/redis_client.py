"""How Redis is reached: its URL, a password from a file, and short patience."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SECONDS: Final = 2.0
"""Redis answers in less than a millisecond; after so long it counts as gone."""

FAILURES: Final = (Exception,)
"""What it may raise. Away, it is one of ``_EXPECTED``; the client does not look closely at what it is answered, so what
answers in Redis' place can bring about any other."""

_EXPECTED: Final = (redis.RedisError, OSError, asyncio.TimeoutError)


class RedisSettingsError(Exception):
    """The URL cannot be used."""


class _PasswordFile(CredentialProvider):
    """Reads the password for each connection, so that it can be changed."""

    def __init__(self, username: str, path: Path) -> None:
        self._username = username
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            password = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise redis.AuthenticationError(f"redis_password_file {self._path} cannot be read") from error
        if not password:
            raise redis.AuthenticationError(f"redis_password_file {self._path} is empty")
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


class _Tls(redis.asyncio.SSLConnection):
    """Reads who is trusted for each connection, so that it can be changed."""

    async def connect(self) -> None:
        self.ssl_context.context = None
        await super().connect()  # type: ignore[no-untyped-call] # redis-py says nothing of its types here


def connect(url: str, password_file: Path | None = None, ca_file: Path | None = None) -> redis.asyncio.Redis:
    """Return a client; nothing is connected before it is used.

    Args:
        url: Redis'.
        password_file: with the password, if not in the URL.
        ca_file: with whom to trust for a ``rediss://`` URL; None for the system's.

    Raises:
        RedisSettingsError: the URL is none.
    """
    try:
        client = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # who asks has a pace of their own
            client_name="kas",
        )
    except ValueError as error:
        raise RedisSettingsError("expected redis://host:6379/0 or rediss://host:6379/0") from error
    options = client.connection_pool.connection_kwargs
    if client.connection_pool.connection_class is redis.asyncio.SSLConnection:
        client.connection_pool.connection_class = _Tls
    if ca_file is not None:
        options["ssl_ca_certs"] = str(ca_file)
    if password_file is not None:
        username = str(options.pop("username", None) or "")
        options.pop("password", None)
        options["credential_provider"] = _PasswordFile(username, password_file)
    return client


def end_if_cancelled() -> None:
    """Be cancelled where Redis' client, or a failure beside it, has swallowed that; to be called after using it.

    Raises:
        CancelledError: somebody wants this task to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def begin_anew(client: redis.asyncio.Redis) -> None:
    """Give up connections on which an answer to something else may be waiting."""
    with suppress(*FAILURES):
        await client.connection_pool.disconnect(inuse_connections=False)


def explain(error: BaseException) -> str:
    """Return what is wrong with Redis, on one line, without what was sent."""
    if not isinstance(error, _EXPECTED):
        return f"what it answers makes no sense ({type(error).__name__})"
    return " ".join(str(error).split())[:300] or type(error).__name__
