from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PORTS, Process, ProcessEndedError, free_port
from tests.support.waiting import NotInTimeError, eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


def python(code: str, tmp_path: Path) -> Process:
    return Process("program", [sys.executable, "-u", "-c", code], log=tmp_path / "log")


def test_a_program_that_ends_early_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = python("print('the reason'); raise SystemExit(3)", tmp_path)
    with pytest.raises(ProcessEndedError, match=r"ended with 3 before it is ready; its log ends:\nthe reason"):
        process.wait_until(lambda: False, what="it is ready")


@pytest.mark.parametrize(("end", "expected"), [(Process.terminate, -signal.SIGTERM), (Process.kill, -signal.SIGKILL)])
def test_a_program_is_ended_by_its_own_pid(end: Callable[[Process], int], expected: int, tmp_path: Path) -> None:
    process = python("import signal; print('up'); signal.pause()", tmp_path)
    process.wait_until(lambda: "up" in process.log_text(), what="it is up")
    assert process.exit_code is None
    assert end(process) == expected


def test_a_program_dies_with_the_process_that_started_it_even_by_sigkill(tmp_path: Path) -> None:
    child_log = tmp_path / "child"
    code = f"""
import pathlib, signal, sys
from tests.support.processes import Process
child = Process("child", [sys.executable, "-c", "import signal; signal.pause()"], log=pathlib.Path({str(child_log)!r}))
print("child", child.pid)
signal.pause()
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = Process("parent", [sys.executable, "-u", script], log=tmp_path / "log", env={"PYTHONPATH": str(ROOT)})
    parent.wait_until(lambda: "child " in parent.log_text(), what="it has started its child")
    child = Path("/proc") / parent.log_text().split()[-1]
    assert child.exists()
    parent.kill()
    wait_until(lambda: not child.exists(), what="the child has ended", within=10)


def test_a_port_that_was_given_is_given_to_nobody_else_even_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = free_port()
    rest = [port for port in PORTS if port != given][:500]
    monkeypatch.setattr("tests.support.processes.PORTS", [given, *rest])
    assert set(rest) >= {free_port()}
    code = f"""
from tests.support import processes
processes.PORTS = {[given, *PORTS[-500:]]}
print(*(processes.free_port() for _ in range(40)), "all")
"""
    script = tmp_path / "other.py"
    script.write_text(code)
    other = Process("other", [sys.executable, "-u", script], log=tmp_path / "log", env={"PYTHONPATH": str(ROOT)})
    assert other.wait() == 0, other.log_text()
    assert str(given) not in other.log_text().split()


def test_who_was_kept_from_looking_until_the_deadline_looks_once_more() -> None:
    looks: list[int] = []

    def slow() -> bool:
        looks.append(1)
        if len(looks) == 1:
            threading.Event().wait(0.05)  # as a probe is that gets no processor
        return len(looks) == 2

    assert wait_until(slow, what="the second look", within=0.01)


async def test_waiting_takes_plain_and_awaitable_probes_and_ends_at_its_deadline() -> None:
    seen: list[int] = []

    async def third_time() -> str:
        seen.append(1)
        return "yes" if len(seen) == 3 else ""

    assert await eventually(third_time, what="the third call") == "yes"
    assert await eventually(lambda: "at once", what="a value") == "at once"
    with pytest.raises(NotInTimeError, match=r"not within 0.1 s: rain; last seen: None"):
        await eventually(lambda: None, what="rain", within=0.1)
