"""A real Redis server for tests: the one of the operating system, on a port of its own and without a disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from kas.tls import TlsFiles

HOST = "127.0.0.1"


class RedisMissingError(AssertionError):
    """There is no Redis on this machine."""


class RedisServer:
    """It can be killed and started again, and has forgotten everything then. ``with RedisServer() as server``.

    Args:
        password: everybody has to know it; may be set to another one before the next start.
        tls: takes nothing but TLS, with this certificate for localhost; may be set to another one as well.
        options: more lines of redis.conf.
    """

    def __init__(self, *, password: str = "", tls: TlsFiles | None = None, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.password = password
        self.tls = tls
        self._options = options
        self.url = f"rediss://localhost:{self.port}/0" if tls else f"redis://{HOST}:{self.port}/0"
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
        lines = [f"bind {HOST}", 'save ""', "appendonly no", f"dir {self._directory}", *self._options]
        if self.tls:
            lines += [
                "port 0",
                f"tls-port {self.port}",
                "tls-auth-clients no",
                f"tls-ca-cert-file {self.tls.certificate}",
            ]
            lines += [f"tls-cert-file {self.tls.certificate}", f"tls-key-file {self.tls.key}"]
        else:
            lines.append(f"port {self.port}")
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
        url = f"{self.url}?ssl_cert_reqs=none" if self.tls else self.url  # whom to trust is for those who use it
        with redis.Redis.from_url(url, password=self.password or None) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False
