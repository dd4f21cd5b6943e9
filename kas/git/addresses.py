"""Which addresses a Git server may have: not this machine's own, nor those where clouds keep credentials.

The host of a URL is the operator's, its addresses are whoever's who answers for that name: one that leads to loopback
or to a metadata service would have kas ask, with its credential, something that nobody pointed it at. What was looked
at is what git then connects to (``http.curloptResolve``), however the name is answered the next time.

A host that is written as an address, or as ``localhost``, is what the operator means. Private networks are where
GitLab often is. Behind a proxy the name is the proxy's business.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_METADATA: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
"""Metadata services that are not link-local: of AWS by IPv6, Alibaba, Oracle and Azure."""

_PORTS: Final = {"http": 80, "https": 443, "ssh": 22}


class ForbiddenAddressError(Exception):
    """A name leads to an address that kas does not connect to. The text names both and what to do."""


def pin(url: str, allowed_hosts: Collection[str]) -> str:
    """Return what git is to be told of the host's addresses; empty where it finds them itself. Blocks for DNS.

    Raises:
        ForbiddenAddressError: one of the addresses is none for a Git server.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or _is_meant(host) or is_proxied(parts.scheme, host):
        return ""
    port = parts.port or _PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""  # git says it better
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    if host not in allowed_hosts and (bad := forbidden(addresses)):
        raise ForbiddenAddressError(
            f"{host} leads to {bad}, which is this machine or where a cloud keeps credentials; "
            f"if that is meant, add {host} to git.allowed_hosts"
        )
    if parts.scheme == "ssh":
        return ""  # its host key says who it is, whatever the address
    return f"{host}:{port}:{','.join(f'[{one}]' if ':' in one else one for one in addresses)}"


def forbidden(addresses: Iterable[str]) -> str:
    """Return the first address that no Git server has, empty where there is none. Pure."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or address
        if inner.is_loopback or inner.is_link_local or inner.is_unspecified or inner.is_multicast or inner in _METADATA:
            return text
    return ""


def _is_meant(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_proxied(scheme: str, host: str) -> bool:
    """Tell whether the environment names a proxy for a host."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)
