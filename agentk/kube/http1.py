"""Reading HTTP/1.1 answers: bytes in, one answer out. Sans-I/O; ``direct`` feeds it.

Why not aiohttp's: a server-side apply is a small request with a small answer, and of the 200 µs of processor time that
each cost, two thirds went into objects that nobody looked at. Only what an API server, or a proxy in front of it,
answers to a request without ``Expect`` and ``Upgrade`` is understood here; anything else is an error, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_MAX_HEAD: Final = 64 << 10
"""Bytes of status line and headers; Go's own limit for what it receives is a megabyte, and servers send hundreds."""

_MAX_LINE: Final = 8 << 10
"""Bytes of the line with a chunk's size, or of one in the trailer."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: |\Z)")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
_HEADERS: Final = frozenset({b"connection", b"content-length", b"retry-after", b"transfer-encoding"})
_SUCCESS: Final = 200
_REDIRECT: Final = 300
_NO_CONTENT: Final = frozenset({204, 304})
_SWITCHING: Final = 101


class _Expect(Enum):
    """What the next line of a chunked body is."""

    SIZE = auto()
    LINE_BREAK = auto()
    TRAILER = auto()


class AnswerError(Exception):
    """What came is not an HTTP/1.1 answer, or not all of one; the connection cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: From 200 on.
        body: All of it, or its beginning if it is ``cut``.
        retry_after: The header of that name.
        keep: Whether the connection can take another request.
        cut: Whether the body was larger than allowed; the rest was not read.
    """

    status: int
    body: bytes
    retry_after: str | None
    keep: bool
    cut: bool


class AnswerReader:
    """Reads one answer. Feed it until it gives the answer; afterwards make another."""

    def __init__(self, limit: int, error_limit: int) -> None:
        """Make a reader.

        Args:
            limit: Bytes that the body of a 2xx answer may have.
            error_limit: Bytes that any other may have.
        """
        self._limits = limit, error_limit
        self._limit = limit
        self._buffer = bytearray()
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._retry_after: str | None = None
        self._keep = False
        self._left: int | None = None
        self._chunked = False
        self._expect = _Expect.SIZE

    @property
    def started(self) -> bool:
        """Whether anything has come."""
        return bool(self._status or self._buffer)

    def feed(self, data: bytes) -> Answer | None:
        """Take more bytes; return the answer when it is complete.

        Raises:
            AnswerError: It is none.
        """
        self._buffer += data
        while not self._status:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _MAX_HEAD:
                    raise AnswerError(f"the headers are longer than {_MAX_HEAD} bytes")
                return None
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            self._read_head(head)
        return self._read_chunks() if self._chunked else self._read_plain()

    def end(self) -> Answer:
        """Take the end of the connection, which ends an answer of unknown length.

        Raises:
            AnswerError: It came too early.
        """
        if self._status and not self._chunked and self._left is None:
            return self._answer(keep=False)
        raise AnswerError("the server closed the connection in the middle of an answer")

    def _read_head(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        found = _STATUS_LINE.match(lines[0])
        if found is None:
            raise AnswerError("it does not begin like an answer of HTTP/1.1")
        status = int(found[2])
        if status < _SUCCESS:
            if status == _SWITCHING:
                raise AnswerError("the server switched protocols, which nobody asked for")
            return
        headers = _headers_of(lines[1:])
        coding = headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        if coding:
            if coding != b"chunked":
                raise AnswerError(f"transfer coding {coding[:40]!r} is not understood")
            self._chunked = True
        elif status in _NO_CONTENT:
            self._left = 0
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise AnswerError("its length is not a number")
            self._left = int(length)
        retry_after = headers.get(b"retry-after")
        self._retry_after = None if retry_after is None else retry_after.decode("latin-1")
        self._keep = found[1] == b"1" and b"close" not in headers.get(b"connection", b"").lower()
        self._limit = self._limits[0] if status < _REDIRECT else self._limits[1]
        self._status = status

    def _read_plain(self) -> Answer | None:
        """Take the body by its length, or all until the end of the connection."""
        if self._left is None:
            return self._take(len(self._buffer))
        wanted = min(self._left, len(self._buffer))
        self._left -= wanted
        return self._take(wanted) or (None if self._left else self._answer(keep=self._keep))

    def _read_chunks(self) -> Answer | None:
        while True:
            if self._left:
                wanted = min(self._left, len(self._buffer))
                self._left -= wanted
                if cut := self._take(wanted):
                    return cut
                if self._left:
                    return None
            line = self._next_line()
            if line is None:
                return None
            if self._expect is _Expect.SIZE:
                self._left = _chunk_size(line)
                self._expect = _Expect.LINE_BREAK if self._left else _Expect.TRAILER
            elif self._expect is _Expect.LINE_BREAK:
                if line:
                    raise AnswerError("a chunk is not as long as it said")
                self._expect = _Expect.SIZE
            elif not line:
                return self._answer(keep=self._keep)

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                raise AnswerError("the size of a chunk is missing")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self, count: int) -> Answer | None:
        """Move bytes to the body; return the answer if that makes it too large."""
        if count:
            self._body.append(bytes(self._buffer[:count]))
            del self._buffer[:count]
            self._size += count
        if self._size <= self._limit:
            return None
        return self._answer(keep=False, cut=True)

    def _answer(self, *, keep: bool, cut: bool = False) -> Answer:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        # What nobody asked for makes everything doubtful that would come after it.
        keep = keep and not self._buffer
        return Answer(self._status, body[: self._limit], self._retry_after, keep, cut)


def _headers_of(lines: list[bytes]) -> dict[bytes, bytes]:
    """Return the headers that matter here."""
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or (name == b"content-length" and headers.get(name, value.strip()) != value.strip()):
            raise AnswerError("its headers contradict each other or are none")
        if name in _HEADERS:
            headers[name] = value.strip()
    return headers


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _HEX.fullmatch(digits):
        raise AnswerError("the size of a chunk is not a number")
    return int(digits, 16)
