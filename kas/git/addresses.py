"""Which addresses a Git server may have: not this machine's own, nor those where clouds keep credentials.

The host of a URL is the operator's, its addresses are whoever's who answers for that name: one that leads to loopback
or to a metadata service would have kas ask, with its credential, something that nobody pointed it at. What was looked
at is what our client and git then connect to (``http.curloptResolve``), however the name is answered the next time;
where nothing could be looked at, nothing is asked.

A host that is written as an address is what the operator means, and ``localhost`` means this machine. Private networks
are where GitLab often is. Behind a proxy the name is the proxy's business; which one that is, is decided here and told
to git, whose own reading of the environment differs.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
"""Metadata services that are not link-local: of AWS and Google by IPv6, Alibaba, Oracle and Azure."""

_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")
"""This machine, to many systems (RFC 1122, 3.2.1.3)."""

_LAST_32_BITS: Final = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Where the last 32 bits are an IPv4 address: compatible, mapped and translated ones (RFC 4291, 2765), NAT64's."""

_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""How long the prefix is, its network decides: the address is after 48, 56, 64 or 96 bits (RFC 8215; RFC 6052, 2.2)."""

_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""Bits 64 to 95 of an address that ends in one of IPv4 (RFC 5214)."""

_PORTS: Final = {"http": 80, "https": 443, "ssh": 22}


class ForbiddenAddressError(Exception):
    """A name leads to an address that kas does not connect to. The text names both and what to do."""


class UnresolvedError(Exception):
    """A name leads nowhere at the moment. The text names it."""


def pin(url: str, allowed_hosts: Collection[str]) -> str:
    """Return the addresses that the host of a URL is to be reached at, as curl writes them. Blocks for DNS.

    Empty where no name is looked up here: for an address, a file, a proxy, and SSH, whose host key says who it is.

    Raises:
        ForbiddenAddressError: one of the addresses is none for a Git server.
        UnresolvedError: there is no address; nothing may be asked.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or _is_address(host) or proxy_for(url):
        return ""
    port = parts.port or _PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or "it is no name"
        raise UnresolvedError(f"the name {host} cannot be resolved ({cause})") from error
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    if not addresses:
        raise UnresolvedError(f"the name {host} has no address")
    if _is_this_machine(host):
        if bad := next((one for one in addresses if not ipaddress.ip_address(one.partition("%")[0]).is_loopback), ""):
            raise ForbiddenAddressError(f"{host} leads to {bad}, which is not this machine; write the address instead")
    elif host not in allowed_hosts and (bad := forbidden(addresses)):
        raise ForbiddenAddressError(
            f"{host} leads to {bad}, which is this machine or where a cloud keeps credentials; "
            f"if that is meant, add {host} to git.allowed_hosts"
        )
    if parts.scheme == "ssh":
        return ""
    return f"{host}:{port}:{','.join(f'[{one}]' if ':' in one else one for one in addresses)}"


def forbidden(addresses: Iterable[str]) -> str:
    """Return the first address that no Git server has, empty where there is none. Pure.

    An address of IPv6 that carries one of IPv4 counts as that, too: what translates it is not asked what it lets by.
    """
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if any(map(_is_forbidden, (address, *_carried(address)))):
            return text
    return ""


def _is_forbidden(address: Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address in _METADATA
        or (address.version == 4 and address in _THIS_NETWORK)  # noqa: PLR2004 - IPv4
    )


def _carried(address: Address) -> Iterator[Address]:
    """Yield the addresses of IPv4 that one of IPv6 may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    if any(address in network for network in _LAST_32_BITS) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _NAT64_LOCAL:
        # Bits 64 to 71 are left out. What begins with eight zeros is padding of another length of the prefix.
        low = number & (1 << 56) - 1
        without = (number >> 64 << 56 | low) & (1 << 72) - 1
        found = ((without >> shift) & 0xFFFFFFFF for shift in (40, 32, 24, 0))
        yield from (ipaddress.IPv4Address(one) for one in found if one >> 24)
    if (six_to_four := address.sixtofour) is not None:
        yield six_to_four
    if (teredo := address.teredo) is not None:
        yield from teredo


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def proxy_for(url: str) -> str:
    """Return the proxy that the environment names for the host of a URL; empty where there is none."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return "" if parts.scheme not in {"http", "https"} or proxy_bypass(parts.hostname or "") else proxy
