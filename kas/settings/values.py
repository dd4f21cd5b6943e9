"""How single values are written: durations, sizes, addresses, files. Pure.

Each is a type for the model that says what was expected when a value is not one, and never quotes the value: what
stands in the wrong place may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from agentlink.address import AddressError, parse_kas_address

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_LONGEST_DURATION: Final = 200

_BYTES: Final = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(KiB|MiB|GiB|)")

_PORT: Final = re.compile(r"[0-9]{1,5}")
_PORTS: Final = 65535


@dataclass(frozen=True, slots=True)
class Written:
    """How the document names a type."""

    as_: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. ``host`` has no brackets; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as it is set."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _wrong(expected: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_value", "{expected}", {"expected": f"expected {expected}"})


def parse_duration(value: object) -> float:
    """Return seconds from ``20s``, ``1m30s``, ``500ms``, ``2h`` or ``7d``."""
    if isinstance(value, str) and len(value) <= _LONGEST_DURATION and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
        if seconds > 0:
            return seconds
    raise _wrong("a duration longer than nothing, with its unit, such as 20s, 1m30s or 2h")


def parse_pause(value: object) -> float:
    """Return seconds from a duration, or 0 from ``0s``."""
    return 0.0 if value in {"0s", 0.0} else parse_duration(value)


def format_duration(seconds: float) -> str:
    """Return a duration as it is set, in the largest unit that gives a whole number."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{round(seconds * 1000)}ms"


def parse_size(value: object) -> int:
    """Return bytes from ``5MiB``, ``64KiB``, ``1GiB`` or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)) and (number := int(match[1])) > 0:
        return number * _BYTES[match[2]]
    raise _wrong("a size such as 5MiB, 64KiB or a whole number of bytes")


def format_size(size: int) -> str:
    """Return a size as it is set, in the largest unit that gives a whole number."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= _BYTES[unit] and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def parse_address(value: object) -> Address:
    """Return the address in ``127.0.0.1:8150``, ``[::1]:8150`` or ``localhost:8150``."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        plain = bool(host) and bracketed == (":" in host) and not re.search(r"[\s/\[\]]", host)
        if colon and plain and _PORT.fullmatch(port) and int(port) <= _PORTS:
            return Address(host, int(port))
    raise _wrong("an address with a port, such as 127.0.0.1:8150, or 0.0.0.0:8150 for all interfaces")


def parse_path(value: object, info: ValidationInfo) -> Path:
    """Return an absolute path: ``~`` is the home directory, a relative one lies beside the settings' file."""
    if isinstance(value, str) and value and "\0" not in value:
        base = info.context["folder"] if info.context else Path.cwd()
        try:
            return Path(base, Path(value).expanduser())
        except RuntimeError as error:
            raise _wrong("a path; it begins with ~, and there is no home directory to be found") from error
    raise _wrong("a path")


def parse_web_url(value: object) -> str:
    """Return an ``http`` or ``https`` URL without the slash at its end."""
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
        except ValueError:
            good = False
        if good and "@" not in parts.netloc:
            return value.rstrip("/")
    raise _wrong("a URL such as https://kas.example.com, without a user, query or fragment")


def parse_kas_url(value: object) -> str:
    """Return the address that agents dial, as it was given."""
    if isinstance(value, str):
        try:
            parse_kas_address(value)
        except AddressError:
            pass
        else:
            return value.strip()
    raise _wrong("an address that agents dial, such as wss://kas.example.com or grpcs://kas.example.com:8152")


Duration = Annotated[float, BeforeValidator(parse_duration), Written("duration")]
"""Seconds."""

Pause = Annotated[float, BeforeValidator(parse_pause), Written("duration")]
"""Seconds; none as well."""

Size = Annotated[int, BeforeValidator(parse_size), Written("size")]
"""Bytes."""

ListenAddress = Annotated[Address, BeforeValidator(parse_address), Written("address")]

File = Annotated[Path, BeforeValidator(parse_path), Written("path")]

WebUrl = Annotated[str, BeforeValidator(parse_web_url), Written("URL")]

KasUrl = Annotated[str, BeforeValidator(parse_kas_url), Written("URL")]
