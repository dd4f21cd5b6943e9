"""Who a process is among candidates: nobody else, and after a crash the same again.

A process that was killed leaves a lease behind that all others must wait for. The process that takes its place knows
better: the one before is gone if the lock it held is free. So the identity lies in a file that is locked as long as its
process lives. In a pod the file is in the pod's own ``/tmp``, which outlives the container.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import socket
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANDOM: Final = re.compile(r"[0-9a-f]{12}")
_MAX_FILE: Final = 512


@contextmanager
def identity_for(election: str, *, pod_name: str, directory: Path | None = None) -> Iterator[str]:
    """Yield an identity that no other living process has, for as long as the context lasts.

    Args:
        election: What is stood for: cluster, namespace and name of the lease. Another election, another file.
        pod_name: What people know this process by; empty for the machine's name.
        directory: Where the file goes; None for the directory of temporary files. Where it cannot be written, or
            another process has it locked, the identity is a new one.
    """
    name = pod_name or socket.gethostname() or "agentk"
    digest = hashlib.sha256(election.encode()).hexdigest()[:16]
    path = Path(directory or tempfile.gettempdir()) / f"agentk-{os.getuid()}-{digest}"
    fresh = f"{name}_{secrets.token_hex(6)}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield fresh
        return
    try:
        yield _kept(descriptor, name, fresh) if _lock(descriptor) else fresh
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock the file if it is ours to lock; the system unlocks it when this process ends, however it ends."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _kept(descriptor: int, name: str, fresh: str) -> str:
    """Return the identity in the file, if there is a good one of this name; otherwise put a fresh one there."""
    try:
        before = os.pread(descriptor, _MAX_FILE, 0).decode("ascii", "replace")
        if before.startswith(f"{name}_") and _RANDOM.fullmatch(before.removeprefix(f"{name}_")):
            return before
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, fresh.encode(), 0)
    except OSError:  # such as a full disk: the next process will wait a little longer
        pass
    return fresh
