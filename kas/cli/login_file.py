"""What ``kas login`` remembers: one address and the API token for it, in a file that only its owner can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kas.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Login:
    """Where to go and with what. ``ca_cert_file`` is None for the system's authorities.

    ``allow_http`` is set where somebody has said that the token may travel unencrypted.
    """

    address: str
    token: str = field(repr=False)
    ca_cert_file: Path | None = None
    allow_http: bool = False


def login_path(environ: Mapping[str, str]) -> Path:
    """Return where the file is, whether there or not; a relative path where nobody knows a home directory."""
    given = environ.get("XDG_CONFIG_HOME")
    # A user id without a name and HOME, as in containers, leaves the ~ as it is.
    folder = Path(given) if given else Path(environ.get("HOME") or os.path.expanduser("~")) / ".config"  # noqa: PTH111 -- Path.home() raises instead
    return folder / "kas" / "login.json"


def read_login(environ: Mapping[str, str]) -> Login | None:
    """Return what was remembered, None where nothing was.

    Raises:
        ClientError: there is a file that cannot be read.
    """
    path = login_path(environ)
    if not path.is_absolute():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        ca_cert_file = value["ca_cert_file"]
        return Login(
            str(value["address"]),
            str(value["token"]),
            Path(ca_cert_file) if ca_cert_file else None,
            allow_http=value.get("allow_http") is True,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"cannot read the login file {path}: {type(error).__name__}"
        raise ClientError(message, hint="log in anew with `kas login`, or remove it with `kas logout`") from error


def write_login(environ: Mapping[str, str], login: Login) -> Path:
    """Remember a login instead of any before; return the file.

    Raises:
        ClientError: it cannot be written.
    """
    path = login_path(environ)
    ca_cert_file = None if login.ca_cert_file is None else str(login.ca_cert_file.absolute())
    value = {"address": login.address, "token": login.token, "ca_cert_file": ca_cert_file}
    text = json.dumps({**value, "allow_http": login.allow_http})
    if not path.is_absolute():
        raise ClientError("there is no home directory to remember a login in", hint="set HOME or XDG_CONFIG_HOME")
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole or not at all, and never readable by others, not even for a moment.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        message = f"cannot write the login file {path}: {error.strerror}"
        raise ClientError(
            message, hint="XDG_CONFIG_HOME says where it goes; KAS_ADDRESS and KAS_TOKEN need none"
        ) from error
    return path


def remove_login(environ: Mapping[str, str]) -> bool:
    """Forget the login; return whether there was one.

    Raises:
        ClientError: the file cannot be removed.
    """
    path = login_path(environ)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        message = f"cannot remove the login file {path}: {error.strerror}"
        raise ClientError(message, hint="remove it by hand: it holds an API token") from error
    return True
