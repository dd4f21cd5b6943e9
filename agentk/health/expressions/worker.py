"""The process that evaluates expressions: a program of its own, started and fed by ``evaluator.py``.

An evaluation cannot be interrupted from within Python, so that limits are the kernel's: a timer that ends the process
when one evaluation has taken its processor time, and a bound on its memory.
"""

from __future__ import annotations

import functools
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from agentk.health.expressions.pipe import CPU_SECONDS, LENGTH
from agentlink.expressions import EvaluationError, Expression, ExpressionError, MissingFieldError

MEMORY_BYTES: Final = 256 << 20
"""Of address space; the interpreter with the library takes 30 MiB."""


def main() -> None:
    """Answer until there is nothing more to read."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is agentk's to act on, which then closes the pipe
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # rather this process than agentk
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read pairs of messages, an expression and an object as JSON, and write an answer to each."""
    while (text := _read(requests)) is not None and (obj := _read(requests)) is not None:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = evaluate(text.decode(), obj)
        signal.setitimer(signal.ITIMER_PROF, 0)
        data = orjson.dumps(answer)
        answers.write(LENGTH.pack(len(data)) + data)
        answers.flush()


def evaluate(text: str, obj: bytes) -> tuple[str, str]:
    """Return what became of it: ``true``, ``false``, or ``missing``, ``failed`` or ``invalid`` with the reason."""
    try:
        return ("true" if _compiled(text).holds(orjson.loads(obj)) else "false"), ""
    except ExpressionError as error:
        return "invalid", str(error)
    except MissingFieldError as error:
        return "missing", str(error)
    except (EvaluationError, orjson.JSONDecodeError) as error:
        return "failed", str(error)


@functools.lru_cache(maxsize=1000)
def _compiled(text: str) -> Expression:
    return Expression(text)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


if __name__ == "__main__":
    main()
