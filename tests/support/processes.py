"""Starting real programs: output to a file, ended by their own pid, never outliving the process that started them."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.paths import ROOT, cache_directory
from tests.support.waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LOG_TAIL_LINES = 40
PORTS = range(18_000, 30_000)
"""Below Linux's ephemeral range (from 32768), so that no outgoing connection takes a port between choice and use."""


class ProcessEndedError(AssertionError):
    """A program that should run has ended; the text carries the end of its log."""


class Process:
    """One running program.

    Start it from the main thread, or from one that lives as long: the kernel ends the program with the thread that
    started it (``PR_SET_PDEATHSIG``), so that a killed test run leaves nothing behind.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        """Start ``argv``.

        Args:
            name: what errors call it.
            argv: the program and its arguments; never a secret, since everybody on the machine can read them.
            log: gets standard output and error, appended, so that a restart keeps the first life's lines.
            env: added to this process's environment.
            cwd: working directory.
            user: an unprivileged account to run as; only root may ask.
        """
        self.name = name
        self.log = log
        command = [*dies_with_us(user), *(str(part) for part in argv)]
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self._popen.poll()

    def log_text(self) -> str:
        """Return everything it has written."""
        return self.log.read_text(errors="replace")

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait for its own end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: still running after ``timeout`` seconds.
        """
        return self._popen.wait(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        """Send one signal, if it still runs."""
        self._popen.send_signal(number)

    def terminate(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Ask it to end with SIGTERM, make it end with SIGKILL after ``timeout`` seconds; return the exit code."""
        self._popen.terminate()
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it with SIGKILL, as a crash would; return the exit code."""
        self._popen.kill()
        return self._popen.wait()

    def wait_until(self, probe: Callable[[], object], *, what: str, within: float = PATIENCE_SECONDS) -> None:
        """Wait until ``probe`` is true, giving up at once when the program ends.

        Raises:
            ProcessEndedError: it ended first.
            NotInTimeError: the deadline (seconds) passed.
        """

        def alive_and_probe() -> bool:
            if self.exit_code is not None:
                tail = "\n".join(self.log_text().splitlines()[-LOG_TAIL_LINES:])
                raise ProcessEndedError(f"{self.name} ended with {self.exit_code} before {what}; its log ends:\n{tail}")
            return bool(probe())

        wait_until(alive_and_probe, what=f"{self.name}: {what} (log: {self.log})", within=within)


def start_module(
    module: str, *args: str | Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Process:
    """Start one of the project's own programs (``agentk``, ``kas``) from this work tree with this interpreter."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(env or {})}
    return Process(module, [sys.executable, "-m", module, *args], log=log, env=environment, cwd=cwd)


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on, and that nobody else is given while this process lives.

    Between the choice and the use, and while a server is stopped to be started again, the port is free for the kernel:
    what keeps the processes of all test runs on this machine apart is a locked file for each port that is given.
    """
    locks = cache_directory() / "ports"
    locks.mkdir(parents=True, exist_ok=True)
    while True:
        port = random.choice(PORTS)  # noqa: S311 - spreads parallel workers, guards nothing
        lock = os.open(locks / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        if _is_ours_now(lock) and _is_free(port):
            return port  # the lock ends with this process
        os.close(lock)


def _is_ours_now(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def dies_with_us(user: str | None = None) -> list[str]:
    """Return what to put before a command so that the kernel ends it with us, and runs it as ``user``."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # not Linux: the program is still ended at a normal end
        return []
    account = [f"--reuid={user}", f"--regid={_group_of(user)}", "--clear-groups"] if user else []
    return [setpriv, *account, "--pdeathsig", "KILL", "--"]


def _group_of(user: str) -> str:
    import pwd  # noqa: PLC0415 - exists on Unix only, and only a Unix root comes here

    return str(pwd.getpwnam(user).pw_gid)
