"""What a URL of Redis says of who may reach it. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qs, urlsplit


def is_elsewhere(url: str) -> bool:
    """Tell whether Redis may be reached from other machines: by anything but a loopback address."""
    host = urlsplit(url).hostname or "localhost"
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def is_open_to_others(url: str) -> bool:
    """Tell whether it may be reached from elsewhere, and the URL holds no password and names no client's certificate.

    A user alone proves nothing.
    """
    parts = urlsplit(url)
    proof = parts.password or parse_qs(parts.query).keys() & {"password", "ssl_certfile"}
    return is_elsewhere(url) and not proof
