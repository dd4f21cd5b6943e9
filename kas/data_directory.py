"""One kas at a time uses a data directory: another would clear away what this one works with."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK: Final = "kas.lock"
_PID_BYTES: Final = 32


class DataDirectoryError(Exception):
    """The data directory cannot be used. The text says what to do."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make the directory if need be, and keep every other kas out of it until the context ends.

    The kernel gives the lock back however this process ends, so that nobody has to clear away a stale one.

    Raises:
        DataDirectoryError: Another kas has it, or it cannot be written to.
    """
    file = directory / _LOCK
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirectoryError(f"{directory} cannot be used: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, _PID_BYTES).decode(errors="replace").strip()
            raise DataDirectoryError(
                f"{directory} is in use by another kas{f' (process {holder})' if holder.isdigit() else ''}; stop that"
                " one, or give this one a data_dir of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
