"""How both programs start, stop and answer signals.

A program is a list of parts, each an async context manager or a coroutine that runs as long as the program does. They
start in the order given and stop in the reverse order, so that nothing outlives what it stands on. The first SIGTERM or
SIGINT stops gracefully, a second one ends the process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from types import TracebackType

T = TypeVar("T")

STOP_SECONDS = 10.0
"""How long one part may take to stop. Kubernetes kills a pod 30 s after SIGTERM."""

log = logs.get_logger("lifecycle")


class Lifecycle:
    """The parts of a running program. :func:`run` makes it and hands it to the program's main coroutine."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._main: asyncio.Task[Any] | None = None
        self._signalled = False

    @property
    def stopping(self) -> bool:
        """Tell whether the end was asked for; a readiness check answers no from then on."""
        return self._stop.is_set()

    async def start(self, name: str, part: AbstractAsyncContextManager[T], *, stop_seconds: float = STOP_SECONDS) -> T:
        """Enter a part, which is left again when the program stops, after all parts that were started later."""
        return await self._stack.enter_async_context(_Stage(name, part, stop_seconds))

    async def background(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine as a part: cancelled when its turn to stop comes; an exception of it ends the program."""
        await self.start(name, _in_background(name, work))

    def stop(self) -> None:
        """Ask for a graceful end, as a signal does."""
        self._stop.set()

    async def wait(self) -> None:
        """Return when the end was asked for; call it when every part has started."""
        self._main = None
        log.debug("Started")
        await self._stop.wait()

    async def __aenter__(self) -> Self:
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
            self._stack.callback(loop.remove_signal_handler, number)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            suppressed = await self._stack.__aexit__(kind, error, traceback)
        except asyncio.CancelledError:
            if not self._absorb_cancel():
                raise
            return True
        return suppressed or (isinstance(error, asyncio.CancelledError) and self._absorb_cancel())

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            log.warning("Second signal: ending at once", signal=number.name)
            sys.stderr.flush()
            os._exit(128 + number)
        self._signalled = True
        log.info("Stopping", signal=number.name)
        self._stop.set()
        if self._main is not None:
            # Parts are still starting, perhaps waiting for something that never comes.
            self._main.cancel()

    def _absorb_cancel(self) -> bool:
        """Take back our own cancellation during the start; anybody else's goes on."""
        if self._main is None or not self._stop.is_set():
            return False
        return self._main.uncancel() == 0


class _Stage(AbstractAsyncContextManager[T]):
    """A part whose stopping is bounded in time and named when it fails."""

    def __init__(self, name: str, part: AbstractAsyncContextManager[T], stop_seconds: float) -> None:
        self._name = name
        self._part = part
        self._stop_seconds = stop_seconds

    async def __aenter__(self) -> T:
        return await self._part.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            async with asyncio.timeout(self._stop_seconds):
                return await self._part.__aexit__(kind, error, traceback)
        except TimeoutError:
            log.warning("A part did not stop in time", part=self._name, seconds=self._stop_seconds)
            return None


@asynccontextmanager
async def _in_background(name: str, work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work, name=name)
        try:
            yield
        finally:
            task.cancel()


def run(main: Callable[[Lifecycle], Awaitable[None]]) -> int:
    """Run a program to its end and return its exit code: 0, or 1 after an unexpected exception, which is logged.

    ``main`` starts its parts on the :class:`Lifecycle` it is given and ends with ``await life.wait()``. Errors that a
    person can mend are for ``main`` or its caller to catch and word. Uses uvloop where it is installed.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_supervise(main))
        except Exception:
            log.exception("Ended by an error")
            return 1
    return 0


async def _supervise(main: Callable[[Lifecycle], Awaitable[None]]) -> None:
    async with Lifecycle() as life:
        await main(life)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional: not built for every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
