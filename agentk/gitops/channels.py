"""One gRPC channel to kas, directly or through a websocket, with TLS as asked for.

The two transports differ here and nowhere else. Errors become sentences that say what to do next.
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from agentlink import limits
from agentlink.metadata import AUTHORIZATION, REMOVED, RETRY_AFTER
from agentlink.tunnel_client import Tunnel, TunnelError, open_tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentlink.address import KasAddress

_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted: pass the certificate of the authority that signed it "
    "with --ca-cert-file",
    "WRONG_VERSION_NUMBER": "it has no TLS on this port: use grpc:// (without TLS), or the port with TLS",
    "http1.x server": "a web server answers there: use ws:// or wss:// for it, or the port that takes gRPC",
    "Connection refused": "nothing listens on that port; kas takes gRPC on 8152 by default",
    "DNS resolution failed": "the name cannot be resolved",
    "Hostname Verification Check failed": "its certificate is for another name",
}


class ConnectError(Exception):
    """kas cannot be reached. The text says why and what to look at.

    ``retry_after``: the seconds after which it asked to be tried again, None where it said nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Channel:
    """An open channel. ``metadata`` goes with every call."""

    connection: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...]
    _address: KasAddress
    _tunnel: Tunnel | None

    def explain(self, error: grpc.aio.AioRpcError) -> str:
        """Return what a failed call means to a person."""
        details = error.details() or error.code().name
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return f"kas refuses this agent: {details}"
        if self._tunnel is not None:
            return f"{self._tunnel.ending} ({details})" if self._tunnel.ending else details
        for sign, hint in _HINTS.items():
            if sign in details:
                return f"{self._address} cannot be used: {hint}"
        if error.code() is grpc.StatusCode.UNAVAILABLE and "Socket closed" in details:
            others = "grpc:// (without TLS) or wss://" if self._address.tls else "grpcs:// (with TLS) or ws://"
            return f"{self._address} closed the connection: kas stopped, or that port takes {others}"
        return details


@asynccontextmanager
async def open_channel(address: KasAddress, token: str, ca_cert_file: Path | None) -> AsyncIterator[Channel]:
    """Open a channel; leaving the context closes it and what it goes through.

    A direct channel connects with its first call, so that its errors come from there.

    Raises:
        ConnectError: the tunnel cannot be opened, or the certificates to trust cannot be read.
    """
    metadata = ((AUTHORIZATION, f"Bearer {token}"),)
    options = limits.channel_options()
    if not address.websocket:
        direct = (
            grpc.aio.secure_channel(address.target, _credentials(ca_cert_file), options)
            if address.tls
            else grpc.aio.insecure_channel(address.target, options)
        )
        async with direct:
            yield Channel(direct, metadata, address, None)
        return
    context = trust(ca_cert_file) if address.tls else None
    async with AsyncExitStack() as stack:
        try:
            tunnel = await stack.enter_async_context(open_tunnel(str(address), context))
        except TunnelError as error:
            raise ConnectError(str(error), error.retry_after) from error
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(tunnel.target, options))
        yield Channel(channel, metadata, address, tunnel)


def is_of_removed_agent(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether kas says that there is no such agent any more."""
    return _trailing(error, REMOVED) is not None


def _trailing(error: grpc.aio.AioRpcError, key: str) -> object:
    # The published types have the metadata of gRPC's other interface here.
    metadata: Any = error.trailing_metadata()
    return metadata.get(key) if metadata is not None else None


def retry_after_of(error: grpc.aio.AioRpcError) -> float | None:
    """Return after how many seconds kas wants to be tried again, None where it did not say so."""
    said = _trailing(error, RETRY_AFTER)
    return int(said) / 1000 if isinstance(said, str) and said.isascii() and said.isdigit() else None


def trust(ca_cert_file: Path | None) -> ssl.SSLContext:
    """Return what is trusted for kas: the system's authorities, and those in the file.

    Raises:
        ConnectError: the file holds none.
    """
    context = ssl.create_default_context()
    if ca_cert_file is not None:
        try:
            context.load_verify_locations(ca_cert_file)
        except OSError as error:  # what ssl raises is one too
            raise _unusable(ca_cert_file, error) from error
    return context


def _credentials(ca_cert_file: Path | None) -> grpc.ChannelCredentials:
    """Return credentials that trust the system's authorities, as everything else here does, and the given ones."""
    bundle = ssl.get_default_verify_paths().cafile
    trusted = Path(bundle).read_bytes() if bundle else b""
    if ca_cert_file is not None:
        trust(ca_cert_file)
        trusted += b"\n" + ca_cert_file.read_bytes()
    # Without any, gRPC falls back on the list that it brings along.
    return grpc.ssl_channel_credentials(root_certificates=trusted or None)


def _unusable(ca_cert_file: Path, error: OSError) -> ConnectError:
    return ConnectError(f"--ca-cert-file {ca_cert_file} cannot be used, it must hold certificates in PEM: {error}")
