"""Where agents reach kas: which transport, which server, and whether with TLS.

agentk dials it, and kas writes it into the manifests that install agentk.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit


class Scheme(StrEnum):
    """How kas is reached."""

    WS = "ws"
    WSS = "wss"
    GRPC = "grpc"
    GRPCS = "grpcs"


_INSTEAD = {"http": Scheme.WS, "https": Scheme.WSS, "tcp": Scheme.GRPC, "tls": Scheme.GRPCS}

_DEFAULT_PORTS = {Scheme.WS: 80, Scheme.WSS: 443}

_OTHER_PORTS = {
    8151: "kas' observability port",
    8153: "kas' API port, where people and webhooks go",
}

WEBSOCKET_PORT = 8150
GRPC_PORT = 8152


class AddressError(ValueError):
    """The address cannot be used. The text names it and the likely fix."""


@dataclass(frozen=True, slots=True)
class KasAddress:
    """Where kas is. ``path`` is for websockets only, and may carry a query."""

    scheme: Scheme
    host: str
    port: int
    path: str = ""

    @property
    def tls(self) -> bool:
        """Tell whether the connection is encrypted."""
        return self.scheme in {Scheme.WSS, Scheme.GRPCS}

    @property
    def websocket(self) -> bool:
        """Tell whether gRPC goes through a websocket."""
        return self.scheme in {Scheme.WS, Scheme.WSS}

    @property
    def target(self) -> str:
        """Return ``host:port``, as gRPC dials it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.target}{self.path}"


def parse_kas_address(text: str) -> KasAddress:
    """Read an address such as ``wss://kas.example.com`` or ``grpc://localhost:8152``.

    Raises:
        AddressError: it is not one, or surely the wrong one.
    """
    text = text.strip()
    # The standard library drops line breaks from the middle, and what is left names another server.
    if not text.isprintable() or len(text.split()) > 1:
        raise AddressError(f"kas address {_shown(text)!r} has whitespace or a line break inside: it was pasted wrongly")
    if "://" not in text:
        shown = _shown(text)
        raise AddressError(
            f"kas address {shown!r} has no scheme: write wss://{shown or 'kas.example.com'} (websocket with TLS), "
            f"or ws://, grpcs:// or grpc://"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # The error would quote what stands before an "@", too.
        raise AddressError(
            f"kas address {_shown(text)!r} is not an address: its host or port cannot be read; write it as in "
            "wss://kas.example.com:443"
        ) from None
    scheme = _scheme(parts)
    shown = _shown(text)
    if parts.username is not None or parts.password is not None:
        raise AddressError(f"kas address {shown!r} holds a user name: the agent's token goes into --token-file instead")
    if not parts.hostname:
        raise AddressError(f"kas address {shown!r} names no host: write {scheme}://kas.example.com")
    if parts.fragment:
        raise AddressError(f"kas address {shown!r} has a fragment (#…), which addresses of servers do not have")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if scheme in {Scheme.GRPC, Scheme.GRPCS} and path not in {"", "/"}:
        raise AddressError(
            f"kas address {shown!r} has a path, which gRPC does not have: remove it, or use "
            f"{'wss' if scheme is Scheme.GRPCS else 'ws'}://"
        )
    port = _port(scheme, port, shown)
    return KasAddress(scheme, parts.hostname, port, path if scheme in {Scheme.WS, Scheme.WSS} else "")


def _scheme(parts: SplitResult) -> Scheme:
    try:
        return Scheme(parts.scheme)
    except ValueError:
        pass
    shown = _shown(parts.geturl())
    if instead := _INSTEAD.get(parts.scheme):
        rest = shown.partition("://")[2]
        raise AddressError(f"kas address {shown!r}: agents do not connect by {parts.scheme}; use {instead}://{rest}")
    raise AddressError(f"kas address {shown!r} has the unknown scheme {parts.scheme!r}: use wss, ws, grpcs or grpc")


def _port(scheme: Scheme, port: int | None, shown: str) -> int:
    websocket = scheme in {Scheme.WS, Scheme.WSS}
    right = WEBSOCKET_PORT if websocket else GRPC_PORT
    if port is None:
        if websocket:
            return _DEFAULT_PORTS[scheme]
        return GRPC_PORT
    if port == 0:
        raise AddressError(f"kas address {shown!r} has port 0: agents connect to {right} by default")
    if other := _OTHER_PORTS.get(port):
        raise AddressError(
            f"kas address {shown!r} names port {port}, {other}: agents connect to {right} by {scheme}, or to whatever "
            "an ingress in front of it has"
        )
    return port


def _shown(text: str) -> str:
    """Return the address without what stands before an ``@``."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text.rpartition("@")[2]
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
