"""A real PostgreSQL server for tests: the one of the operating system, with a cluster of its own in a temporary folder.

The superuser ``kas`` comes in without a password through the socket, whose folder only the server's account and root
can enter, and with one by TCP on loopback.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import Process, dies_with_us, free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
USER = "kas"
PASSWORD = "correct-horse"

_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNTS = ("postgres", "nobody")
"""Whom the server runs as when the tests run as root, which it refuses to: the first that exists."""

_ICU_SINCE = 15


class PostgresMissingError(AssertionError):
    """There is no PostgreSQL on this machine."""


def program(name: str) -> Path:
    """Return where a program of PostgreSQL's server is; Debian keeps them out of the path.

    Raises:
        PostgresMissingError: nowhere.
    """
    versions = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for candidate in [folder / name for folder in versions] + [Path(shutil.which(name) or "/nowhere")]:
        if candidate.exists():
            return candidate
    raise PostgresMissingError(f"there is no {name}: run scripts/system-packages, or install postgresql")


class PostgresServer:
    """One cluster; it can be stopped, killed and started again. ``with PostgresServer() as server``."""

    def __init__(self) -> None:
        self._user = _account()
        self.directory = Path(tempfile.mkdtemp(prefix="kas-pg-"))
        self.port = free_port()
        self._data = self.directory / "data"
        self._process: Process | None = None
        self._databases = 0
        # Not in the cluster's folder, which belongs to another account.
        self._logs = Path(tempfile.mkdtemp(prefix="kas-pg-log-"))
        self.password_file = self._logs / "password"
        self.password_file.write_text(PASSWORD + "\n")

    def __enter__(self) -> Self:
        try:
            self._create()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._logs, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the same port again, and wait until it answers."""
        self._process = Process(
            "postgres",
            [
                *(program("postgres"), "-D", self._data, "-h", HOST, "-p", str(self.port), "-k", self.directory),
                *("-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60"),
            ],
            log=self._logs / "postgres.log",
            cwd=self.directory,
            user=self._user,
        )
        self._process.wait_until(lambda: self._psql("SELECT 1", "postgres").returncode == 0, what="it answers")

    def stop(self) -> None:
        """End it at once for all who are connected, and in order."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it without a checkpoint; the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process = None

    def create_database(self) -> str:
        """Create an empty database and return its name."""
        self._databases += 1
        name = f"kas_{self._databases}"
        self.sql(f"CREATE DATABASE {name}", "postgres")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, ending who is still connected."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")

    def url(self, database: str) -> str:
        """Return the URL through the socket, which needs no password."""
        return f"postgresql://{USER}@/{database}?host={self.directory}&port={self.port}"

    def tcp_url(self, database: str, *, password: str = "") -> str:
        """Return the URL by TCP, which needs the password, from here or elsewhere."""
        return f"postgresql://{USER}{':' if password else ''}{password}@{HOST}:{self.port}/{database}"

    def sql(self, statement: str, database: str) -> str:
        """Run SQL as the superuser and return what it prints: a line each row, columns with ``|`` between."""
        done = self._psql(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _psql(self, statement: str, database: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program("psql"), "-X", "-A", "-t", "-q", "-d", self.url(database), "-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _create(self) -> None:
        first = self.directory / "password"
        first.write_text(PASSWORD)
        if self._user:
            account = pwd.getpwnam(self._user)
            for path in (self.directory, first):
                os.chown(path, account.pw_uid, account.pw_gid)
        initdb = program("initdb")
        version = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=True).stdout.split()
        # A locale that sorts as people do: nothing may depend on how a server sorts.
        locale = ["--locale=C.UTF-8"]
        if float(version[2].split(".")[0]) >= _ICU_SINCE:
            locale += ["--locale-provider=icu", "--icu-locale=en"]
        done = subprocess.run(
            [
                *dies_with_us(self._user),
                *(str(initdb), "-D", str(self._data), "-U", USER, "-E", "UTF8", *locale),
                *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={first}"),
                *("--no-sync", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            cwd=self.directory,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _account() -> str | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _ACCOUNTS if name in known)
