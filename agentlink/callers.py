"""Whom a caller's address stands for. Pure.

Whatever is bounded for each address is bounded by this: with IPv6 everybody has 2^64 addresses to come from.
"""

from __future__ import annotations

import ipaddress

_NETWORK_BITS = 64
"""Bits of an IPv6 address that a provider gives out; the rest its customer chooses."""


def household(address: str) -> str:
    """Return what an address is counted under: itself, with IPv6 its /64; what is no address stands for itself.

    ``address`` has no port; brackets around IPv6 do no harm.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.strip("[]"))
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed, _NETWORK_BITS), strict=False))


def with_port(host: str, port: int) -> str:
    """Return one way of writing an address with its port, whoever names it and however."""
    if ":" not in host:
        return f"{host}:{port}"
    plain = host.strip("[]").partition("%")[0]
    try:
        parsed = ipaddress.IPv6Address(plain)
    except ValueError:
        return f"[{plain}]:{port}"
    return f"[{parsed}]:{port}" if parsed.ipv4_mapped is None else f"{parsed.ipv4_mapped}:{port}"
