"""The data directory, and the files that hold secrets: there, readable, and nobody else's to read."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING

from agentlink.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from pathlib import Path

_AREA = "files"


def check_data_directory(directory: Path) -> list[Finding]:
    """Look whether kas can write to its data directory, and nobody else can read it."""
    if not directory.exists():
        parent = next((parent for parent in directory.parents if parent.exists()), directory)
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return [ok(_AREA, "data_dir", f"{directory} does not exist yet; the first start makes it")]
        remedy = f"make it, owned by kas' user with mode 0700; {parent} cannot be written to"
        return [failed(_AREA, "data_dir", f"{directory} does not exist and cannot be made", remedy)]
    try:
        # Without a name, so that nothing stays however this ends.
        with tempfile.TemporaryFile(dir=directory):
            pass
        found = directory.stat()
    except OSError as error:
        remedy = "let it belong to kas' user, with mode 0700, on a disk with room"
        return [failed(_AREA, "data_dir", f"{directory} cannot be written to: {error.strerror}", remedy)]
    findings = []
    # One of root's that we can write to is a volume as Kubernetes mounts it.
    if found.st_uid not in {os.geteuid(), 0}:
        message = f"{directory} belongs to user {found.st_uid}, and this check runs as user {os.geteuid()}"
        findings.append(warning(_AREA, "user", message, "run the check as the user that kas runs as"))
    if found.st_mode & stat.S_IRWXO:
        # kas makes what is in there private by itself; in a container there is nobody else.
        message = f"everybody on this machine may look into {directory} (mode {stat.S_IMODE(found.st_mode):04o})"
        findings.append(
            warning(_AREA, "data_dir", message, f"chmod 0700 {directory}, unless it is a container's volume")
        )
    return findings or [ok(_AREA, "data_dir", f"{directory} is writable and private")]


def check_secret_file(check: str, file: Path) -> Finding:
    """Look whether a file with a secret can be read by kas, and by nobody that it does not belong to.

    A group may read it: that is how Kubernetes hands Secrets to a container that is not root.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(1)
            found = os.fstat(stream.fileno())
    except OSError as error:
        remedy = "create it, readable by kas' user, or correct its name in the settings"
        return failed(_AREA, check, f"{file} cannot be read: {error.strerror}", remedy)
    if not content:
        return failed(_AREA, check, f"{file} is empty", "put the secret in, on one line")
    if found.st_mode & stat.S_IRWXO:
        message = f"everybody on this machine may read {file} (mode {stat.S_IMODE(found.st_mode):04o})"
        return failed(_AREA, check, message, f"chmod 0600 {file}, and replace the secret if others could log in here")
    if found.st_mode & stat.S_IWGRP:
        message = f"its group may write to {file} (mode {stat.S_IMODE(found.st_mode):04o})"
        return warning(_AREA, check, message, f"chmod g-w {file}")
    return ok(_AREA, check, f"{file} is readable and private")


def check_temporary_directory() -> Finding:
    """Look whether kas can make its private socket, which needs a short path on a writable disk."""
    try:
        with tempfile.TemporaryDirectory(prefix="kas-") as directory:
            path = os.path.join(directory, "grpc")  # noqa: PTH118 - only its length counts
    except OSError as error:
        message = f"no directory for temporary files can be used: {error.strerror}"
        return failed(_AREA, "TMPDIR", message, "set TMPDIR to a writable directory")
    # What sun_path of a Unix socket's address holds, on every system that Python runs on.
    if len(os.fsencode(path)) > 103:  # noqa: PLR2004 - see above
        message = f"{tempfile.gettempdir()} is too long a name for a socket in it"
        return failed(_AREA, "TMPDIR", message, "set TMPDIR to a writable directory with a short name")
    return ok(_AREA, "TMPDIR", f"{tempfile.gettempdir()} is writable")
