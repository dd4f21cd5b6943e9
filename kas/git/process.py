"""Runs git, and ends it.

GitPython starts each process, without a shell. Ours are the environment, the bounds on output and disk, and the end:
a process that is out of time or no longer wanted is ended with all its children, because ``git fetch`` is a family of
four. What git says is judged in ``explain.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import selectors
import shutil
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import git

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

T = TypeVar("T")

# What a git process may inherit. Everything else stays behind: GIT_* would redirect it, and kas's own variables may
# hold secrets that are none of its business. Which proxy it uses stands in its configuration (``addresses.py``).
_INHERITED = frozenset({"PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"})
_CHUNK = 64 * 1024
# Enough of stderr to explain a failure; a server may send any amount of "remote:" lines.
_MAX_STDERR = 64 * 1024
# How long a process may take to remove its lock files and half-written packs before it is killed, in seconds.
_GRACE = 2.0

# How long children may keep quiet before it is asked whether git itself still lives, in seconds.
_ORPHANS = 0.5


_PRLIMIT = shutil.which("prlimit") if sys.platform == "linux" else None
"""Sets limits before git begins: its children have them, too, however late this process gets to run again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a git process and its children may take, each: bytes of ``memory``, and of the largest ``file`` it writes.

    Linux holds it to that, and elsewhere nothing does. What is read from files that are mapped is no memory here.
    """

    memory: int
    file: int | None = None

    @property
    def _limits(self) -> dict[str, int]:
        return {"data": self.memory, **({} if self.file is None else {"fsize": self.file})}

    def command(self) -> tuple[str, ...]:
        """Return the words before a command that set the limits; none where there is no program for it."""
        return () if _PRLIMIT is None else (_PRLIMIT, *(f"--{name}={most}" for name, most in self._limits.items()))

    def set(self, pid: int) -> None:
        """Set the limits of a process that runs, where ``command`` could not."""
        if _PRLIMIT is None and sys.platform == "linux":
            with contextlib.suppress(ProcessLookupError):
                for name, most in self._limits.items():
                    resource.prlimit(pid, getattr(resource, f"RLIMIT_{name.upper()}"), (most, most))


@dataclass(frozen=True, slots=True)
class Finished:
    """How a git process ended. ``code`` is negative for a signal; ``overflow`` if stdout was larger than allowed."""

    code: int
    stdout: bytes
    stderr: str
    overflow: bool


class GitProcess:
    """One git process. ``run`` and ``open`` block, so they belong in a thread; ``stop`` may be called from any."""

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], directory: Path, bounds: Bounds
    ) -> None:
        self._arguments = arguments
        self._environment = environment
        self._directory = directory
        self._bounds = bounds
        self._handle: git.Git.AutoInterrupt | None = None
        self._stopped: signal.Signals | None = None

    def open(self, *, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Start it and return its process, with pipes at stdout and stderr."""
        command = git.Git(self._directory)
        command.update_environment(**self._environment)
        kept = _INHERITED.union(self._environment)
        unset = [word for name in os.environ if name not in kept for word in ("-u", name)]
        # GitPython can add to the inherited environment but not take from it; env(1) can, for a millisecond.
        program = git.Git.GIT_PYTHON_GIT_EXECUTABLE or "git"
        argv = [*(("env", *unset) if unset else ()), *self._bounds.command(), program, *self._arguments]
        self._handle = command.execute(argv, istream=cast("None", stdin), as_process=True, process_group=0)
        process = self._handle.proc
        if process is None:
            raise OSError("git was not started")
        self._bounds.set(process.pid)
        if self._stopped is not None:
            self.stop(self._stopped)
        return cast("subprocess.Popen[bytes]", process)

    def run(self, max_output: int, stdin: socket.socket | None = None) -> Finished:
        """Start it and read what it says until it ends, or until stdout exceeds ``max_output`` bytes.

        It reads ``stdin``, which is closed here: with the process its last reader has gone.
        """
        with stdin or contextlib.nullcontext():
            process = self.open(stdin=None if stdin is None else stdin.fileno())
        try:
            return self._read(process, max_output)
        finally:
            if process.returncode is None:
                self.stop(signal.SIGKILL)
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _read(self, process: subprocess.Popen[bytes], max_output: int) -> Finished:
        if process.stdout is None or process.stderr is None:
            raise OSError("git was started without pipes")
        stdout, stderr = bytearray(), bytearray()
        overflow = False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, stdout)
            selector.register(process.stderr, selectors.EVENT_READ, stderr)
            while selector.get_map() and not overflow:
                ready = selector.select(_ORPHANS)
                if not ready and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    # Somebody killed git, and its children, who will never be asked again, hold our pipes.
                    self.stop(signal.SIGKILL)
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.data is stdout:
                        stdout += chunk
                        overflow = len(stdout) > max_output
                    elif len(stderr) < _MAX_STDERR:
                        stderr += chunk
        if overflow:
            self.stop(signal.SIGKILL)
        code = process.wait()
        return Finished(code, bytes(stdout), stderr.decode("utf-8", "replace"), overflow)

    def stop(self, sent: signal.Signals) -> None:
        """Send a signal to it and all its children; if it has not started yet, as soon as it does."""
        self._stopped = sent
        process = None if self._handle is None else self._handle.proc
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)


async def in_thread(pool: Executor, work: Callable[[], T], stop: Callable[[signal.Signals], None], seconds: float) -> T:
    """Do blocking ``work`` in a thread; on timeout or cancellation call ``stop`` and wait for the thread to notice.

    Raises ``TimeoutError`` after ``seconds``.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(future)
    finally:
        if not future.done():
            stop(signal.SIGTERM)
            await asyncio.wait({future}, timeout=_GRACE)
        if not future.done():
            stop(signal.SIGKILL)
            await asyncio.wait({future})
        if not future.cancelled():
            # Whatever it raised after being stopped is not news; asking marks it as seen.
            future.exception()
