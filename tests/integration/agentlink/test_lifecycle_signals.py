"""The lifecycle in a process of its own, with real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = """
import asyncio, contextlib, sys
from agentlink import lifecycle, logs

logs.configure(log_format=logs.LogFormat.JSON)

@contextlib.asynccontextmanager
async def part(name):
    print("start", name, flush=True)
    try:
        yield name
    finally:
        print("stop", name, flush=True)

async def forever(name):
    print("start", name, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("stop", name, flush=True)

async def main(life):
{body}

sys.exit(lifecycle.run(main))
"""


@contextmanager
def program(body: str) -> Iterator[subprocess.Popen[str]]:
    source = PROGRAM.format(body="\n".join(f"    {line}" for line in body.strip().splitlines()))
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], line: str) -> list[str]:
    assert process.stdout is not None
    seen: list[str] = []
    for text in process.stdout:
        seen.append(text.strip())
        if seen[-1] == line:
            return seen
    raise AssertionError(seen)


def test_parts_start_in_order_and_stop_in_the_reverse_order() -> None:
    with program("""
await life.start("a", part("a"))
await life.background("b", forever("b"))
await life.start("c", part("c"))
await asyncio.sleep(0)
print("ready", flush=True)
await life.wait()
""") as process:
        assert sorted(until(process, "ready")) == ["ready", "start a", "start b", "start c"]
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert out.split("\n") == ["stop c", "stop b", "stop a", ""]
        assert process.returncode == 0


def test_a_signal_during_the_start_ends_what_has_started() -> None:
    with program("""
await life.start("a", part("a"))
print("waiting", flush=True)
await asyncio.Event().wait()
""") as process:
        until(process, "waiting")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert out == "stop a\n"
        assert process.returncode == 0


def test_a_second_signal_ends_at_once() -> None:
    with program("""
@contextlib.asynccontextmanager
async def stubborn():
    yield
    print("stopping", flush=True)
    await asyncio.Event().wait()

await life.start("a", part("a"))
await life.start("stubborn", stubborn(), stop_seconds=1000)
print("ready", flush=True)
await life.wait()
""") as process:
        until(process, "ready")
        process.send_signal(signal.SIGTERM)
        until(process, "stopping")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert "stop a" not in out
        assert process.returncode == 128 + signal.SIGTERM


def test_a_part_that_does_not_stop_is_named_and_the_others_stop() -> None:
    with program("""
@contextlib.asynccontextmanager
async def stubborn():
    yield
    await asyncio.Event().wait()

await life.start("a", part("a"))
await life.start("stubborn", stubborn(), stop_seconds=0.01)
life.stop()
await life.wait()
""") as process:
        out, err = process.communicate(timeout=30)
        assert out == "start a\nstop a\n"
        assert '"msg":"A part did not stop in time"' in err
        assert '"part":"stubborn"' in err
        assert process.returncode == 0


def test_an_error_of_a_background_part_ends_the_program_with_code_1() -> None:
    with program("""
async def failing():
    raise RuntimeError("the disk is full")

await life.start("a", part("a"))
await life.background("failing", failing())
await life.wait()
""") as process:
        out, err = process.communicate(timeout=30)
        assert out == "start a\nstop a\n"
        assert "the disk is full" in err
        assert process.returncode == 1
