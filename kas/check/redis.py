"""Redis: reachable, trusted, of a kind and version that does, and what replicas do with it really done once.

What is tried is what a kas does: it hears its own beat, and holds a lease that nobody else wants. It has a key of its
own for that, so those that run do not hear it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import uuid
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import redis

from agentlink.findings import Finding, failed, ok, warning
from kas.replicas.derived import KEY_BYTES
from kas.replicas.port import Standing
from kas.replicas.redis_bus import CHANNEL, RedisBus
from kas.replicas.redis_client import FAILURES, RedisSettingsError, connect, explain
from kas.replicas.redis_leases import RedisLeases
from kas.replicas.refusals import Refusals
from kas.settings.redis import is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from redis.asyncio import Redis

OLDEST: Final = (5, 0)
"""The first whose scripts may write after they have asked for the time."""

_AREA = "redis"
_SECONDS = 5.0


async def check_redis(url: str, password_file: Path | None, ca_file: Path | None) -> list[Finding]:
    """Look at Redis, and try what replicas do with it; nothing stays."""
    findings: list[Finding] = []
    if urlsplit(url).password:
        remedy = "put it into a file of its own, and name that in redis_password_file"
        findings.append(warning(_AREA, "password", "it stands in the URL, for all who may read the settings", remedy))
    if is_elsewhere(url) and not url.startswith("rediss:"):
        message = "it is reached without TLS: whoever is on the way reads the password"
        remedy = "use rediss://, or keep the way to where only kas and Redis are"
        findings.append(warning(_AREA, "TLS", message, remedy))
    if ca_file is not None and (finding := _unusable_authorities(ca_file)):
        return [*findings, finding]
    try:
        client = connect(url, password_file, ca_file)
    except RedisSettingsError as error:
        return [*findings, failed(_AREA, "connection", str(error), "correct `redis` in the settings")]
    async with aclosing(client):
        try:
            await client.ping()
        except FAILURES as error:
            return [*findings, _explained(error, tls=url.startswith("rediss:"))]
        findings.append(ok(_AREA, "connection", await _who_is_there(client)))
        return [*findings, *await _kind(client), await _publishing(client), await _scripts(client)]


def _unusable_authorities(ca_file: Path) -> Finding | None:
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # what OpenSSL has to say of it, too
        remedy = "redis_ca_file must be PEM, and readable by kas' user"
        return failed(_AREA, "certificate", f"{ca_file} cannot be used: {error.strerror or error}", remedy)
    return None


def _explained(error: BaseException, *, tls: bool) -> Finding:
    said, cause = explain(error), error.__context__
    if isinstance(error, redis.AuthenticationError):
        if "HELLO" in said or "Authentication required" in said:
            said = "it wants a password, and is sent none"
        remedy = "write the password into redis_password_file; another user than default is named in the URL"
        return failed(_AREA, "password", said, remedy)
    if isinstance(cause, ssl.SSLCertVerificationError):
        remedy = "name who signed it in redis_ca_file, and in `redis` a host that the certificate is for"
        return failed(_AREA, "certificate", f"it is not trusted: {cause.verify_message}", remedy)
    remedy = "look at `redis` in the settings, at the server, and at what is on the way"
    if tls and isinstance(error, redis.TimeoutError):
        remedy = "rediss:// is for a port that has TLS; otherwise look at what is on the way"
    elif not tls and isinstance(cause, ConnectionResetError):
        remedy = "a port that has TLS needs rediss://; otherwise look at the server"
    return failed(_AREA, "connection", said, remedy)


async def _who_is_there(client: Redis) -> str:
    with suppress(*FAILURES):  # not everybody may ask
        listening = await client.pubsub_numsub(*await client.pubsub_channels(f"{CHANNEL}:*:"))
        count = sum(number for _, number in listening)
        return f"it answers; {count} kas {'listens' if count == 1 else 'listen'}"
    return "it answers"


async def _kind(client: Redis) -> list[Finding]:
    """Look at what it says of itself."""
    try:
        said: dict[str, Any] = await client.info("everything")
    except FAILURES as error:
        remedy = "let kas' user call INFO, or look yourself: version 5 or newer, no cluster, not read-only"
        return [warning(_AREA, "version", f"it may not be asked: {explain(error)}", remedy)]
    findings = []
    version = str(said.get("redis_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        remedy = f"install {'.'.join(map(str, OLDEST))} or newer"
        findings.append(failed(_AREA, "version", f"version {version} is too old", remedy))
    else:
        findings.append(ok(_AREA, "version", f"version {version}"))
    if said.get("cluster_enabled"):
        remedy = "use one server, with replicas and failover if it is to be safe"
        findings.append(failed(_AREA, "kind", "it is a Redis Cluster, which kas cannot use", remedy))
    if said.get("role") != "master":
        findings.append(failed(_AREA, "kind", "it is a read-only replica", "name the server that takes writes"))
    return findings


async def _publishing(client: Redis) -> Finding:
    bus, arrived = RedisBus(client, os.urandom(KEY_BYTES)), asyncio.Event()
    with bus.listen("check", lambda _: arrived.set()):  # whose own beat comes back is told of a gap: it is connected
        await _in_time(bus.run(), arrived)
    if arrived.is_set():
        return ok(_AREA, "publish", "what is published arrives")
    remedy = f"let kas' user publish to and subscribe to channels that begin with {CHANNEL}: (ACL: &{CHANNEL}:*)"
    return failed(_AREA, "publish", f"what is published does not arrive: {bus.trouble}", remedy)


async def _scripts(client: Redis) -> Finding:
    key, changed = os.urandom(KEY_BYTES), asyncio.Event()
    leases = RedisLeases(client, RedisBus(client, key), key, Refusals())
    with leases.want(f"check:{uuid.uuid4().hex}", changed.set) as lease:
        await _in_time(leases.run(), changed)
        held = lease.standing is Standing.MINE
    if held:
        return ok(_AREA, "leases", "a lease can be had")
    remedy = f"let kas' user run scripts, and write keys that begin with {CHANNEL}: (ACL: ~{CHANNEL}:* +@scripting)"
    return failed(_AREA, "leases", f"no lease can be had: {leases.trouble or 'it takes too long'}", remedy)


async def _in_time(work: Coroutine[object, object, None], done: asyncio.Event) -> None:
    """Have something run until it is done, or has had its time."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(work)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await done.wait()
        running.cancel()
