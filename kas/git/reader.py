"""Reads objects through a ``git cat-file`` that stays open: no process per file, no process per read."""

from __future__ import annotations

import fcntl
import re
import subprocess
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence

    from kas.git.process import GitProcess

Answer = TypeVar("Answer")

_PAGE: Final = 4096
"""The least that a pipe holds; Linux gives this, instead of 64 KiB, to a user with hundreds of pipes."""

_OBJECT = re.compile(r"[0-9a-z/^{}]+")
_FOUND = re.compile(rb"([0-9a-f]{40}) ([a-z]+) ([0-9]+)")
_LED = re.compile(rb"(symlink|dangling|loop|notdir) ([0-9]+)")


_MOST_TOLD: Final = 16 * 1024**2
"""Bytes of a commit, tag or tree: half a million files in one directory. Who asks for files has seen their sizes."""


class ObjectTooLargeError(Exception):
    """A commit, tag or tree is larger than is read. The text names it."""


class ReaderBrokenError(Exception):
    """The process ended or answered what it should not: the mirror is damaged, or the process was stopped."""


class LedTo(StrEnum):
    """What became of a path on its way through symbolic links."""

    OBJECT = "object"
    NOTHING = "missing"
    OUTSIDE = "symlink"
    DANGLING = "dangling"
    LOOP = "loop"
    NOT_A_DIRECTORY = "notdir"


@dataclass(frozen=True, slots=True)
class Info:
    """What a name leads to; ``object_id``, ``kind`` (blob, tree, commit) and ``size`` (bytes) of an object only."""

    led_to: LedTo
    object_id: str = ""
    kind: str = ""
    size: int = 0


class Question(ABC, Generic[Answer]):
    """What a process is asked of each name, by ``command``."""

    command: str

    @abstractmethod
    def request(self, name: str) -> bytes:
        """Return the line that asks. Raises ``ValueError`` for a name that cannot be asked for."""

    @abstractmethod
    def answer(self, request: bytes, header: bytes, stdout: IO[bytes]) -> Answer:
        """Return the answer that begins with a line; read the rest of it."""


CAT_FILE: Final = ("cat-file", "--batch-command", "--follow-symlinks")
"""Start a process that answers all kinds of questions."""


class Turn:
    """The reads of one caller, who may have them stopped: those of others go on."""

    def __init__(self) -> None:
        self.stopped = False


class CatFile:
    """One process, started when first needed. Its methods block and may be called from any thread."""

    def __init__(self, start: Callable[[], GitProcess]) -> None:
        self._start = start
        self._lock = threading.Lock()
        # Held for moments only, to begin, end and stop a turn.
        self._switch = threading.Lock()
        self._turn: Turn | None = None
        self._git: GitProcess | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, turn: Turn, question: Question[Answer], names: Sequence[str]) -> list[Answer]:
        """Return the answer for each name in order.

        Raises ``ReaderBrokenError`` or ``ObjectTooLargeError``; the next call starts a new process.
        """
        requests = [question.request(name) for name in names]
        with self._lock, self._taken(turn):
            try:
                return self._ask(question, requests)
            except BaseException as error:
                self._end()
                if isinstance(error, OSError | ValueError):
                    raise ReaderBrokenError(f"git cat-file failed: {error}") from error
                raise

    @contextmanager
    def _taken(self, turn: Turn) -> Iterator[None]:
        with self._switch:
            if turn.stopped:
                raise ReaderBrokenError("git cat-file was not asked: nobody waits for the answer any more")
            self._turn = turn
        try:
            yield
        finally:
            with self._switch:
                self._turn = None
            if turn.stopped:  # perhaps just when all was read: the process is not for the next one
                self._end()

    def stop(self, turn: Turn, sent: signal.Signals) -> None:
        """Interrupt what a caller reads, which then raises, or will not begin."""
        with self._switch:
            turn.stopped = True
            running = self._git
            if self._turn is turn and running is not None:
                running.stop(sent)

    def close(self) -> None:
        """End the process, if any, once no ``read`` is running."""
        with self._lock:
            self._end()

    def _ask(self, question: Question[Answer], requests: Sequence[bytes]) -> list[Answer]:
        """Ask for some names, and for the next ones before the answers are read, so that git works while we do.

        What is asked and not answered fits the pipe, so that neither side can wait for the other for ever.
        """
        if not requests:
            return []
        if self._process is None:
            self._git = self._start()
            self._process = self._git.open(stdin=subprocess.PIPE)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("started without pipes")
        room = _room(stdin)
        command = f"{question.command} ".encode()
        answers: list[Answer] = []
        asked, unread = 0, 0
        for some in _batches([b"%b%b\n" % (command, request) for request in requests], room // 2):
            text = b"".join(some)
            if unread + len(text) > room:
                answers += _answers(question, requests[len(answers) : asked], stdout)
                unread = 0
            stdin.write(text)
            stdin.flush()
            if unread:
                answers += _answers(question, requests[len(answers) : asked], stdout)
            asked, unread = asked + len(some), len(text)
        answers += _answers(question, requests[len(answers) :], stdout)
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


class _Contents(Question[tuple[str, bytes] | None]):
    """Gives id and content of each object, None for one that does not exist."""

    command = "contents"

    def request(self, name: str) -> bytes:
        if not _OBJECT.fullmatch(name):
            raise ValueError("not an object name")
        return name.encode()

    def answer(self, request: bytes, header: bytes, stdout: IO[bytes]) -> tuple[str, bytes] | None:
        if header == request + b" missing":
            return None
        object_id, kind, size = header.decode("ascii").split()
        if kind != "blob" and int(size) > _MOST_TOLD:
            raise ObjectTooLargeError(f"{kind} {object_id} has {size} bytes; at most {_MOST_TOLD} are read")
        return object_id, _exactly(stdout, int(size))


class _Infos(Question[Info]):
    """Gives what objects are, and what paths of a commit (``<commit>:<path>``) lead to through symbolic links.

    git follows the links, inside the commit and no more than 40 of them, and says of one that leads out that it does.
    """

    command = "info"

    def request(self, name: str) -> bytes:
        if "\n" in name or "\0" in name:
            raise ValueError("not a name that can be asked for")
        return name.encode("utf-8", "surrogateescape")

    def answer(self, request: bytes, header: bytes, stdout: IO[bytes]) -> Info:
        if found := _FOUND.fullmatch(header):
            return Info(LedTo.OBJECT, found[1].decode(), found[2].decode(), int(found[3]))
        if led := _LED.fullmatch(header):
            _exactly(stdout, int(led[2]))
            return Info(LedTo(led[1].decode()))
        if header == request + b" missing":
            return Info(LedTo.NOTHING)
        raise ValueError("an answer of another kind")


CONTENTS: Final = _Contents()
INFOS: Final = _Infos()


def _exactly(stdout: IO[bytes], size: int) -> bytes:
    """Return what comes next and drop the end of the line behind it."""
    content = stdout.read(size + 1)
    if len(content) != size + 1:
        raise OSError("it ended early")
    return content[:-1]


def _answers(question: Question[Answer], requests: Sequence[bytes], stdout: IO[bytes]) -> list[Answer]:
    return [question.answer(request, stdout.readline().removesuffix(b"\n"), stdout) for request in requests]


def _room(pipe: IO[bytes]) -> int:
    """Return how many bytes a pipe surely takes in two writes while nobody reads."""
    ask = getattr(fcntl, "F_GETPIPE_SZ", None)
    size: int = fcntl.fcntl(pipe, ask) if ask is not None else _PAGE
    return max(size - _PAGE, _PAGE // 2)


def _batches(lines: Sequence[bytes], most: int) -> Iterator[list[bytes]]:
    """Cut lines into lists of so many bytes; a longer line is alone."""
    batch: list[bytes] = []
    length = 0
    for line in lines:
        length += len(line)
        if length > most and batch:
            yield batch
            batch, length = [], len(line)
        batch.append(line)
    if batch:
        yield batch
