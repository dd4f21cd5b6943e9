"""Building real servers from Go modules, once a machine: cached outside the work tree, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_GO = (1, 21)
"""The first release that fetches the toolchain a go.mod asks for; Debian 12's own 1.19 stops at the ``go`` line."""

PROGRESS_SECONDS = 10.0


class GoBuildError(RuntimeError):
    """The servers are neither cached nor can be built; the text says what to install or shows the compiler's words."""


@dataclass(frozen=True)
class GoBuild:
    """What to build.

    Attributes:
        name: what people read, and the stem of the cache directory.
        module: directory with ``go.mod``, ``go.sum`` and, for a program of our own, its sources.
        packages: import paths of main packages.
        flags: for ``go build``.
        cgo: whether C code is compiled as well.
    """

    name: str
    module: Path
    packages: tuple[str, ...]
    flags: tuple[str, ...] = ()
    cgo: bool = False

    def cached(self) -> Path | None:
        """Return the directory with the binaries, or None when they still have to be built."""
        version = _go_version()
        if version is not None:
            exact = self._directory(version)
            return exact if exact.is_dir() else None
        # Without Go nothing can be rebuilt, so what any toolchain built from the same sources is welcome.
        return next(iter(sorted(cache_directory().glob(f"{self.name}-{self._key()}-go*[0-9]"))), None)

    def ensure(self) -> Path:
        """Return the directory with the binaries, building them first when necessary.

        Several processes may ask at once: one builds, the others wait. A line on standard error says how it goes.

        Raises:
            GoBuildError: Go is missing or too old, or the build failed.
        """
        if (cached := self.cached()) is not None:
            return cached
        version = self._required_go()
        with _locked(cache_directory() / f"{self.name}.lock"):
            directory = self._directory(version)
            if not directory.is_dir():
                self._build(directory)
            return directory

    def module_directory(self, module: str) -> Path:
        """Return where the Go module cache keeps the sources of one required module, fetching them if needed."""
        self._go("mod", "download", module)
        return Path(self._go("list", "-m", "-f", "{{.Dir}}", module))

    def _directory(self, go_version: str) -> Path:
        return cache_directory() / f"{self.name}-{self._key()}-{go_version}"

    def _key(self) -> str:
        digest = hashlib.sha256()
        for file in (self.module / "go.mod", self.module / "go.sum", *sorted(self.module.glob("*.go"))):
            digest.update(file.read_bytes())
        digest.update(repr((self.packages, self.flags, self.cgo)).encode())
        return digest.hexdigest()[:12]

    def _required_go(self) -> str:
        version = _go_version()
        if version is None:
            raise GoBuildError(
                f"{self.name} must be built, and Go is missing: install Go 1.21 or newer (https://go.dev/dl)"
            )
        numbers = re.match(r"go(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_GO:
            raise GoBuildError(f"{self.name} must be built, and {version} is too old: install Go 1.21 or newer")
        if self.cgo and shutil.which(os.environ.get("CC", "gcc")) is None:
            raise GoBuildError(f"{self.name} must be built, and a C compiler is missing: install gcc and libc6-dev")
        return version

    def _build(self, directory: Path) -> None:
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        self._go("build", "-v", *self.flags, "-o", f"{partial}/", *self.packages, progress=True)
        partial.rename(directory)  # whoever sees the directory sees all of it

    def _go(self, *args: str, progress: bool = False) -> str:
        environment = {**os.environ, "CGO_ENABLED": "1" if self.cgo else "0"}
        command = ["go", *args]
        with subprocess.Popen(
            command, cwd=self.module, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines: list[str] = []
            with _progress(self.name, lines) if progress else _silence():
                lines.extend(iter(process.stderr.readline, ""))
            output = process.stdout.read().strip()
        if process.returncode != 0:
            words = "".join(lines[-20:])
            raise GoBuildError(f"`go {args[0]}` for {self.name} failed with {process.returncode}:\n{words}")
        return output


def _go_version() -> str | None:
    if shutil.which("go") is None:
        return None
    # In the directory of no module, so that the answer is the installed toolchain's and never a download.
    answer = subprocess.run(
        ["go", "env", "GOVERSION"],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    return answer.stdout.strip().split()[0]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _silence() -> Iterator[None]:
    yield


@contextmanager
def _progress(name: str, lines: list[str]) -> Iterator[None]:
    """Say every few seconds how many packages ``go build -v`` has compiled."""
    started = time.monotonic()
    done = threading.Event()

    def say(text: str) -> None:
        # Past pytest's capture: minutes without a word look like a hang.
        print(f"[{name}] {text}", file=sys.__stderr__, flush=True)

    def report() -> None:
        while not done.wait(PROGRESS_SECONDS):
            last = lines[-1].strip() if lines else "starting"
            say(f"building, {time.monotonic() - started:.0f} s, {len(lines)} steps, now {last[:80]}")

    say("not built yet on this machine; building (first time 3 to 8 minutes, then cached)")
    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
    say(f"built in {time.monotonic() - started:.0f} s")
