"""Has expressions evaluated by the process of ``worker.py``, which is started when there is something to evaluate.

What costs the process its life (too slow, too much memory, a defect of the library) is not asked again until agentk
starts anew; everything else goes on in the next process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

import agentk
from agentk.health.expressions.pipe import CPU_SECONDS, LENGTH
from agentk.health.rules.custom import Answer, Evaluated

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

ANSWER_SECONDS: Final = 60.0
"""A process that is silent for so long is given up, whatever it waits for; its processor time is limited anyhow."""

DYING_SECONDS: Final = 5.0
"""How long a process may take to end whose pipe is closed, or that does not answer."""

_ROOT: Final = str(Path(agentk.__file__).parents[1])


class Evaluator:
    """Evaluates one expression at a time. Use within ``running``."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._stopped: dict[str, Evaluated] = {}
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End the process when the context does."""
        try:
            yield
        finally:
            await self._end()

    async def evaluate(self, text: str, obj: bytes) -> Evaluated:
        """Evaluate an expression for an object, given as JSON."""
        async with self._turn:
            if (stopped := self._stopped.get(text)) is not None:
                return stopped
            try:
                if self._process is None:
                    self._process = await _start()
            except OSError as error:
                return Evaluated(Answer.FAILED, f"the process that evaluates it cannot be started: {error}")
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await _ask(self._process, text, obj)
            except (asyncio.IncompleteReadError, OSError, TimeoutError):
                answer = self._stopped[text] = Evaluated(Answer.INVALID, _why_ended(await self._end(DYING_SECONDS)))
                return answer
            except BaseException:
                # Broken off: an answer that is still to come must not be taken for the next one.
                await self._end()
                raise

    async def _end(self, patience: float = 0.0) -> int:
        """End the process, if there is one, and return what it ended with; it may take that long to end by itself."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return await process.wait()
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentk.health.expressions.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": _ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
    )


async def _ask(process: Process, text: str, obj: bytes) -> Evaluated:
    writer, reader = process.stdin, process.stdout
    if writer is None or reader is None:
        raise OSError("the process has no pipes")
    for part in (text.encode(errors="replace"), obj):
        writer.write(LENGTH.pack(len(part)) + part)
    await writer.drain()
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    answer, why = orjson.loads(await reader.readexactly(length))
    return Evaluated(Answer(answer), why)


def _why_ended(code: int) -> str:
    if code == -signal.SIGPROF:
        why = f"it takes more than {CPU_SECONDS:g} s for one object"
    elif code == -signal.SIGKILL:
        why = "evaluating it never ended"
    else:
        why = f"evaluating it broke, most likely for want of memory (status {code})"
    return f"{why}; it is not evaluated any more until agentk restarts"
