"""A real Redis server for tests: the one of the operating system, on a port of its own and without a disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"


class RedisMissingError(AssertionError):
    """There is no Redis on this machine."""


class RedisServer:
    """It can be killed and started again, and has forgotten everything then. ``with RedisServer() as server``."""

    def __init__(self, *, password: str = "") -> None:
        self.port = free_port()
        self.password = password
        self.url = f"redis://{HOST}:{self.port}/0"
        self._directory = Path(tempfile.mkdtemp(prefix="kas-redis-"))
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the same port again, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise RedisMissingError("there is no redis-server: run `scripts/system-packages tests`")
        settings = self._directory / "redis.conf"
        lines = [f"port {self.port}", f"bind {HOST}", 'save ""', "appendonly no", f"dir {self._directory}"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        settings.write_text("\n".join(lines) + "\n")
        self._process = Process("redis", [program, settings], log=self._directory / "redis.log")
        self._process.wait_until(self._answers, what="it answers")

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, "redis is not running"
        return self._process

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _answers(self) -> bool:
        with redis.Redis(host=HOST, port=self.port, password=self.password or None) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False
