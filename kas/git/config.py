"""The configuration that every git process runs under, in place of the machine's and the user's.

It travels in a file, named by ``GIT_CONFIG_GLOBAL``, because that is the one way by which a credential shows neither
in a process's arguments nor in its environment nor in a URL.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kas.git.remotes import Remote

# Of Git's wire protocols the one that lets the client name the refs it wants; the older send all of them each time.
PROTOCOL = 2

# How long an SSH server may take to answer, in seconds; the whole conversation is bounded by git.timeout.
_CONNECT_SECONDS = 15

_BIG_FILE = 8 * 1024**2
_CACHE = 32 * 1024**2
"""Bytes, for each of git's threads, and so a part of what the process may take (``git.memory``)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def render(schemes: Sequence[str], remote: Remote | None = None, key_file: Path | None = None) -> str:
    """Return the text of the configuration file: for processes on this machine alone, or to reach ``remote`` too.

    ``key_file`` is where ssh finds the remote's key.
    """
    lines = [
        "[protocol]",
        f"\tversion = {PROTOCOL}",
        "\tallow = never",
        *(line for scheme in schemes for line in (f'[protocol "{scheme}"]', "\tallow = always")),
        "[http]",
        # A redirect would carry the request, and maybe the credential, to where the operator did not point.
        "\tfollowRedirects = false",
        # Ends a transfer that stands still even when kas itself was killed and nobody is left to end it.
        "\tlowSpeedLimit = 1",
        "\tlowSpeedTime = 60",
        "[credential]",
        "\thelper =",
        "[core]",
        "\taskPass =",
        "\thooksPath = /dev/null",
        # A mirror can be fetched again, so a power cut may cost one; a wait for the disk would cost every fetch.
        "\tfsync = none",
        # What is larger is no manifest; git reads it in pieces then, and looks for no differences.
        f"\tbigFileThreshold = {_BIG_FILE}",
        f"\tdeltaBaseCacheLimit = {_CACHE}",
        "[pack]",
        f"\twindowMemory = {_CACHE}",
        f"\tdeltaCacheSize = {_CACHE}",
        "[fetch]",
        # Always a pack, which appears whole or not at all: a killed fetch leaves no commit without its files.
        "\tunpackLimit = 1",
        "[gc]",
        # Run by Mirrors.maintain, never in the way of a fetch. Refs stay loose: the mirror reads them as files.
        "\tauto = 0",
        "\tautoDetach = false",
        "\tpackRefs = false",
        "[safe]",
        # A mounted volume is often owned by another user than the one kas runs as.
        "\tdirectory = *",
    ]
    if remote is not None:
        if remote.key is not None and key_file is not None:
            lines += ["[core]", f"\tsshCommand = {_quoted(_ssh(key_file, remote.key.known_hosts))}"]
        if remote.ca_file is not None:
            lines += ["[http]", f"\tsslCAInfo = {_quoted(str(remote.ca_file))}"]
        # Also where it is empty: that is none, whatever the environment says.
        lines += ["[http]", f"\tproxy = {_quoted(remote.proxy)}"]
        if remote.resolve:
            lines += ["[http]", f"\tcurloptResolve = {_quoted(remote.resolve)}"]
        if remote.credential is not None:
            pair = f"{remote.credential.username}:{remote.credential.password}".encode()
            header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
            lines += [f"[http {_quoted(remote.url)}]", f"\textraHeader = {_quoted(header)}"]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def written(directory: Path, text: str, *, suffix: str = ".gitconfig") -> Iterator[Path]:
    """Keep ``text`` in a file that only this user can read, for as long as the context lasts."""
    # mkstemp creates with mode 0600.
    descriptor, name = tempfile.mkstemp(dir=directory, suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _ssh(key_file: Path, known_hosts: Path) -> str:
    """Return the command that git has a shell run; it uses this key, trusts these servers, and asks nobody."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": str(_CONNECT_SECONDS),
        "ServerAliveInterval": str(_CONNECT_SECONDS),
        "LogLevel": "ERROR",
    }
    words = ["ssh", "-F", "/dev/null", "-i", str(key_file)]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return shlex.join(words)


def _quoted(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("a control character cannot be written to git's configuration")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
