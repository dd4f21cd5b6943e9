"""The way to kas, one step after another: name, connection, TLS, tunnel, token, configuration.

The first step that fails ends the way; what it says is the likeliest cause. The last steps are one unary call beside
whatever agent is connected with the same token: it opens no session.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from agentk.gitops.channels import ConnectError, open_channel, trust
from agentlink.agent_token import TokenError
from agentlink.findings import Finding, failed, ok, warning
from agentlink.tunnel_errors import explain
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agentk.gitops.channels import Channel
    from agentlink.address import KasAddress

STEP_SECONDS = 10.0
"""How long one step may take."""

CALL_SECONDS = 20.0
"""How long the call may take, in which kas may have to fetch the configuration project for the first time."""

EXPIRY_NOTICE = timedelta(days=14)

_AREA = "kas"
_NEW_TOKEN = "make a new one with `kas token create --agent …` and put it in the token file"  # noqa: S105 - no secret


async def check_server(
    address: KasAddress,
    token: Callable[[], str],
    ca_cert_file: Path | None,
    learn: Callable[[int], None] = lambda _agent_id: None,
) -> AsyncIterator[Finding]:
    """Go the way to kas and yield what is found, up to the first step that fails.

    Args:
        address: where kas is.
        token: gives the agent's token, or raises TokenError.
        ca_cert_file: certificates (PEM) to trust besides the system's.
        learn: is told the agent's id, if kas says which agent this is.
    """
    secret = ""
    try:
        secret = token()
    except TokenError as error:
        yield failed(_AREA, "token file", str(error))
    if proxy := _proxy(address):
        yield ok(_AREA, "proxy", f"connections to {address.host} go through {proxy}")
    else:
        async for finding in _direct(address, ca_cert_file):
            yield finding
            if finding.level == "FAILED":
                return
    if secret:
        async for finding in _call(address, secret, ca_cert_file, learn):
            yield finding


def _proxy(address: KasAddress) -> str:
    """Return the proxy that the environment names for this address, without its credentials; empty for none."""
    if urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return ""
    proxies = urllib.request.getproxies()
    names = ("wss", "socks", "https") if address.tls else ("ws", "socks", "https", "http")
    if not address.websocket:
        names = ("grpc", "https", "http")
    proxy = next((proxies[name] for name in names if name in proxies), "")
    return f"the proxy {urlsplit(proxy).netloc.rpartition('@')[2] or 'of the environment'}" if proxy else ""


async def _direct(address: KasAddress, ca_cert_file: Path | None) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(STEP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no answer of the name server"
        remedy = "correct the host in --kas-address, or look at the name server of this machine or cluster"
        yield failed(_AREA, "name", f"{address.host} cannot be resolved: {why}", remedy)
        return
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if addresses != [address.host]:
        yield ok(_AREA, "name", f"{address.host} is {', '.join(addresses)}")
    try:
        await _connect(address, None)
    except (OSError, TimeoutError) as error:
        yield failed(_AREA, "connection", explain(str(address), error))
        return
    yield ok(_AREA, "connection", f"{address.target} takes connections")
    if address.tls:
        yield await _tls(address, ca_cert_file)


async def _tls(address: KasAddress, ca_cert_file: Path | None) -> Finding:
    try:
        context = trust(ca_cert_file)
        context.set_alpn_protocols(["http/1.1"] if address.websocket else ["h2"])
        certificate = await _connect(address, context)
    except ConnectError as error:
        return failed(_AREA, "certificate", str(error))
    except (OSError, TimeoutError) as error:
        return failed(_AREA, "certificate", explain(str(address), error))
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    said = f"the certificate of {address.target} is trusted, and valid until {until:%Y-%m-%d %H:%M} UTC"
    if until - datetime.now(UTC) < EXPIRY_NOTICE:
        return warning(_AREA, "certificate", said, "renew it on kas, or the ingress in front of it, before then")
    return ok(_AREA, "certificate", said)


async def _connect(address: KasAddress, context: ssl.SSLContext | None) -> dict[str, object]:
    """Connect once, and return the server's certificate if there is TLS."""
    async with asyncio.timeout(STEP_SECONDS):
        _, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context, server_hostname=address.host if context is not None else None
        )
        certificate = writer.get_extra_info("peercert")
        writer.close()
        with suppress(OSError):  # how the other side takes the goodbye is of no interest
            await writer.wait_closed()
    return certificate if isinstance(certificate, dict) else {}


async def _call(
    address: KasAddress, secret: str, ca_cert_file: Path | None, learn: Callable[[int], None]
) -> AsyncIterator[Finding]:
    try:
        async with open_channel(address, secret, ca_cert_file) as channel:
            try:
                answer = await _identify(channel)
            except grpc.aio.AioRpcError as error:
                yield _refused(address, channel, error)
                return
    except ConnectError as error:
        yield failed(_AREA, "tunnel", str(error))
        return
    yield ok(_AREA, "tunnel", f"an agent listener answers at {address}")
    if answer is None:
        yield ok(_AREA, "token", "kas takes the token; it is too old to say whose it is")
        return
    yield ok(_AREA, "token", f"kas takes it for agent {answer.project}:{answer.agent_name} (id {answer.agent_id})")
    learn(answer.agent_id)
    yield _configuration(answer)


async def _identify(channel: Channel) -> wire.IdentifyResponse | None:
    """Ask whom kas takes us for; None from a kas that takes the token and does not know the question."""
    stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
    try:
        return await stub.Identify(wire.IdentifyRequest(), metadata=channel.metadata, timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise
    await stub.Report(wire.ReportRequest(), metadata=channel.metadata, timeout=CALL_SECONDS)
    return None


def _refused(address: KasAddress, channel: Channel, error: grpc.aio.AioRpcError) -> Finding:
    said = channel.explain(error)
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return failed(_AREA, "token", said, _NEW_TOKEN)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return failed(_AREA, "token", said, f"wait a minute, then {_NEW_TOKEN}")
        case grpc.StatusCode.UNIMPLEMENTED:
            remedy = "correct host and path of --kas-address"
            return failed(_AREA, "tunnel", f"{address} speaks gRPC and is not kas", remedy)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            remedy = "look at kas' log, and at proxies in between, which must pass websockets or HTTP/2 on"
            return failed(_AREA, "tunnel", f"{address} does not answer within {CALL_SECONDS:.0f} s", remedy)
        case _:
            return failed(_AREA, "tunnel", said, "look at kas' log, and at /readiness of its observability listener")


def _configuration(answer: wire.IdentifyResponse) -> Finding:
    if not answer.HasField("configuration"):
        message = f"kas could not look at {answer.project} in time"
        return warning(_AREA, "configuration", message, "try again, or run `kas check` beside kas")
    state = answer.configuration
    if state.reason:
        return failed(_AREA, "configuration", f"{state.reason}: {state.message}")
    if not state.projects:
        message = f"of commit {state.commit[:8]} names no manifest project: nothing is applied"
        return warning(_AREA, "configuration", message, "add gitops.manifest_projects to the agent's config.yaml")
    return ok(_AREA, "configuration", f"of commit {state.commit[:8]}; manifest projects: {', '.join(state.projects)}")
