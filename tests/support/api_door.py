"""A door in front of an API server that counts the writes that pass, and lets a test strike at one of them.

So a test can kill, stop or cut off agentk at the n-th write it sends, either before the API server has heard of it or
after the API server has answered and before agentk hears; every step of a plan can be tried, without luck.

It can also spoil answers, as an API server under load, what stands before it, and the network do: see ``Fault``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.controlplane.server import ControlPlane

HOST = "127.0.0.1"
WRITES = frozenset({b"POST", b"PUT", b"PATCH", b"DELETE"})
NOT_COUNTED = (b"/leases", b"/events", b"selfsubjectreviews", b"selfsubjectaccessreviews")
"""What is sent by the clock or on the side, and so at no certain place among the writes of a plan."""

_CHUNK = 1 << 16


class Moment(StrEnum):
    """Where in a request's life to strike."""

    BEFORE = "before the API server hears"
    AFTER = "after the API server answered"


@dataclass
class Strike:
    """What to do at a write, and whether it has been done.

    Without ``release`` the request, or its answer, gets no further. With it, it goes on once that is set.
    """

    at: int
    moment: Moment
    act: Callable[[], None]
    release: threading.Event | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def strike(self) -> None:
        """Do it; all in one thread, because the connection may end with the one who is struck."""
        self.act()
        self.done.set()


@dataclass(frozen=True)
class Fault:
    """What becomes of one request instead of its answer; nothing of it: it is passed on after ``delay`` seconds.

    ``answer`` is given without the API server having heard, or, with ``heard``, in place of what it said; an empty one
    is the end of the connection, as a reset. With ``cut`` only the first half of what the API server sends arrives.
    """

    answer: bytes | None = None
    heard: bool = False
    cut: bool = False
    delay: float = 0.0


def answering(status: int, body: bytes, *headers: str, content_type: str = "application/json") -> bytes:
    """Write an answer of HTTP."""
    lines = (f"HTTP/1.1 {status} Test", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


class ApiDoor:
    """A plain HTTP server on loopback that passes everything on to an API server.

    Attributes:
        kubeconfig: of the door, with the credentials of the API server's administrator.
        writes: how many have come since ``arm``.
        said: takes what the API server answers, while it is not None.
        spoil: says what becomes of a request, by its number, method and target; None: nothing does.
    """

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._target = urlsplit(plane.url)
        self._tls = ssl.create_default_context(cafile=str(plane.ca_file))
        self._port = free_port()
        self.kubeconfig = directory / "kubeconfig"
        config = json.loads(plane.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://{HOST}:{self._port}"}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))
        self._lock = threading.Lock()
        self._strike: Strike | None = None
        self.writes = 0
        self.said: bytearray | None = None
        self.spoil: Callable[[int, bytes, bytes], Fault | None] | None = None
        self._requests = 0
        self._open: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="api-door")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    def count(self) -> None:
        """Count from nothing, and strike nowhere."""
        with self._lock:
            self._strike, self.writes = None, 0

    def arm(
        self, at: int, moment: Moment, act: Callable[[], None], *, release: threading.Event | None = None
    ) -> Strike:
        """Count from nothing; at the write with this number, the first being 1, do ``act`` in the door's thread."""
        with self._lock:
            self._strike, self.writes = Strike(at, moment, act, release), 0
            return self._strike

    def hang_up(self) -> None:
        """End every connection, as a load balancer does that is restarted."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._open])

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, HOST, self._port)
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, EOFError, ssl.SSLError):
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = await asyncio.open_connection(self._target.hostname, self._target.port, ssl=self._tls)
        connection = _Connection(self, reader, writer, *target)
        try:
            async with asyncio.TaskGroup() as both:
                ways = [both.create_task(connection.requests()), both.create_task(connection.answers())]
                for way in ways:
                    # The end of one way is the end of both.
                    way.add_done_callback(lambda _: [other.cancel() for other in ways])
        except* (OSError, EOFError):
            pass
        finally:
            target[1].transport.abort()

    def fault(self, method: bytes, target: bytes) -> Fault | None:
        """Return what becomes of a request."""
        spoil = self.spoil
        self._requests += 1
        return spoil(self._requests, method, target) if spoil is not None else None

    def counted(self) -> Strike | None:
        """Count one write; return what strikes at it."""
        with self._lock:
            self.writes += 1
            strike = self._strike
            return strike if strike is not None and self.writes == strike.at else None


class _Connection:
    """One connection, on which there is one request at a time."""

    def __init__(
        self,
        door: ApiDoor,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target_reader: asyncio.StreamReader,
        target_writer: asyncio.StreamWriter,
    ) -> None:
        self._door = door
        self._reader, self._writer = reader, writer
        self._target_reader, self._target_writer = target_reader, target_writer
        self._struck: Strike | None = None
        self._fault: Fault | None = None

    async def requests(self) -> None:
        """Pass requests on."""
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            body = await self._reader.readexactly(_length(head))
            if method in WRITES and not any(part in target for part in NOT_COUNTED):
                strike = self._door.counted()
                if strike is not None and strike.moment is Moment.BEFORE:
                    await _do(strike)
                else:
                    self._struck = strike
            fault = self._door.fault(method, target)
            if fault is not None:
                await asyncio.sleep(fault.delay)
                if fault.answer is not None and not fault.heard:
                    await self._say(fault.answer)
                    continue
                self._fault = fault
            self._target_writer.write(head + body)
            await self._target_writer.drain()

    async def answers(self) -> None:
        """Pass answers on, in whatever pieces they come."""
        while data := await self._target_reader.read(_CHUNK):
            if (said := self._door.said) is not None:
                said += data
            if self._struck is not None:
                strike, self._struck = self._struck, None
                await _do(strike)
            fault, self._fault = self._fault, None
            if fault is not None and fault.answer is not None:
                await self._say(fault.answer)
                raise EOFError
            if fault is not None and fault.cut:
                await self._say(data[: len(data) // 2])
                raise EOFError
            self._writer.write(data)
            await self._writer.drain()

    async def _say(self, answer: bytes) -> None:
        """Answer; with nothing, end the connection, in the middle of whatever was to come."""
        if not answer:
            raise EOFError
        self._writer.write(answer)
        await self._writer.drain()


async def _do(strike: Strike) -> None:
    strike.strike()  # in this thread, so that nothing passes meanwhile
    if strike.release is None:
        raise EOFError
    await asyncio.to_thread(strike.release.wait)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
        assert name.lower() != b"transfer-encoding", "agentk sends whole bodies"
    return 0
