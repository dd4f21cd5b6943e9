"""Reads objects through one ``git cat-file --batch`` that stays open: no process per file, no process per read."""

from __future__ import annotations

import re
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence

    from kas.git.process import GitProcess

# Requests written before their answers are read. 1,000 ids are 41 kB: they fit the pipe, so that neither side can
# wait for the other, and git never waits for us.
_AHEAD = 1_000
_REQUEST = re.compile(r"[0-9a-z/^{}]+")


class ReaderBrokenError(Exception):
    """The process ended or answered what it should not: the mirror is damaged, or the process was stopped."""


class ObjectReader:
    """A ``cat-file --batch``, started when first needed. Its methods block and may be called from any thread."""

    def __init__(self, start: Callable[[], GitProcess]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._git: GitProcess | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """Return id and content of each object in order, None for one that does not exist.

        Raises ``ReaderBrokenError``; the next call starts a new process.
        """
        if not all(_REQUEST.fullmatch(name) for name in names):
            raise ValueError("not an object name")
        with self._lock:
            try:
                answers: list[tuple[str, bytes] | None] = []
                for first in range(0, len(names), _AHEAD):
                    answers += self._ask(names[first : first + _AHEAD])
            except BaseException as error:
                self._end()
                if isinstance(error, OSError | ValueError):
                    raise ReaderBrokenError(f"git cat-file failed: {error}") from error
                raise
            return answers

    def stop(self, sent: signal.Signals) -> None:
        """Interrupt a running ``read``, which then raises."""
        running = self._git
        if running is not None:
            running.stop(sent)

    def close(self) -> None:
        """End the process, if any, once no ``read`` is running."""
        with self._lock:
            self._end()

    def _ask(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        if self._process is None:
            self._git = self._start()
            self._process = self._git.open(stdin=subprocess.PIPE)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("started without pipes")
        stdin.write("".join(f"{name}\n" for name in names).encode())
        stdin.flush()
        answers: list[tuple[str, bytes] | None] = []
        for name in names:
            header = stdout.readline()
            if header == f"{name} missing\n".encode():
                answers.append(None)
                continue
            object_id, _, size = header.decode("ascii").split()
            content = stdout.read(int(size) + 1)
            if len(content) != int(size) + 1:
                raise OSError("it ended early")
            answers.append((object_id, content[:-1]))
        return answers

    def _end(self) -> None:
        process, self._process, self._git = self._process, None, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        process.wait()
