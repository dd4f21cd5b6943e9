"""What ``agentk apply`` shows: a bar on a terminal, one line an object elsewhere, or one JSON document at the end."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from agentk.apply.model import Result
from agentlink.logs import inert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from agentk.apply.model import Outcome

_TROUBLE = frozenset({Result.FAILED, Result.SKIPPED})


class Show(Protocol):
    """Takes what happens, as it happens."""

    def outcome(self, outcome: Outcome) -> None:
        """One object is done."""

    def waiting(self, message: str) -> None:
        """All objects are applied, and some are not healthy yet; empty: they are."""

    def end(self, problem: str, hint: str) -> None:
        """Sum up; ``problem`` is why the whole has failed, ``hint`` what to do next, both empty where there is none."""


def line_of(outcome: Outcome) -> str:
    """Return one outcome on one line, with its reason where there is one."""
    where = f"{outcome.path}: " if outcome.path and outcome.result is Result.FAILED else ""
    message = outcome.message or outcome.reason
    why = f": {message}" if message else ""
    return inert(f"{where}{outcome.ref} {outcome.result.value}{why}")


def summary_of(counts: Counter[Result]) -> str:
    """Return all results in numbers, such as ``3 created, 1 failed``."""
    found = [f"{counts[result]} {result.value}" for result in Result if counts[result]]
    return ", ".join(found) or "nothing to do"


class Lines:
    """One line an object, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._counts: Counter[Result] = Counter()
        self._waiting = ""

    def outcome(self, outcome: Outcome) -> None:
        """Write the object's line."""
        self._counts[outcome.result] += 1
        print(line_of(outcome), file=self._out)

    def waiting(self, message: str) -> None:
        """Write what is waited for, when it changes."""
        if message and message != self._waiting:
            print(inert(f"waiting: {message}"), file=self._out)
        self._waiting = message

    def end(self, problem: str, hint: str) -> None:
        """Write the numbers."""
        print(summary_of(self._counts), file=self._out)
        if hint:
            print(hint, file=self._out)
        if problem:
            print(inert(f"Error: {problem}"), file=self._out, flush=True)


class Bar:
    """A bar, and above it a line for each object that is not as it should be."""

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        self._console = console
        self._progress = progress
        self._task = task
        self._counts: Counter[Result] = Counter()

    def outcome(self, outcome: Outcome) -> None:
        """Move the bar."""
        self._counts[outcome.result] += 1
        self._progress.advance(self._task)
        if outcome.result in _TROUBLE:
            style = "red" if outcome.result is Result.FAILED else "yellow"
            self._console.print(Text(line_of(outcome), style=style))

    def waiting(self, message: str) -> None:
        """Say beside the bar what is waited for."""
        self._progress.update(self._task, description="Waiting" if message else "Healthy", detail=inert(message))

    def end(self, problem: str, hint: str) -> None:
        """Write the numbers."""
        self._progress.stop()
        self._console.print(Text(summary_of(self._counts)))
        if hint:
            self._console.print(Text(hint))
        if problem:
            self._console.print(Text(inert(f"Error: {problem}"), style="red"))


class Document:
    """One JSON document at the end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._objects: list[dict[str, str]] = []
        self._waiting = ""

    def outcome(self, outcome: Outcome) -> None:
        """Keep the object."""
        ref = outcome.ref
        self._objects.append(
            {
                "group": ref.group,
                "kind": ref.kind,
                "namespace": ref.namespace,
                "name": ref.name,
                "path": outcome.path,
                "result": outcome.result.value,
                "reason": outcome.reason,
                "message": outcome.message,
            }
        )

    def waiting(self, message: str) -> None:
        """Keep what is waited for."""
        self._waiting = message

    def end(self, problem: str, hint: str) -> None:
        """Write it all."""
        document = {
            "ok": not problem,
            "error": problem,
            "hint": hint,
            "waiting_for": self._waiting,
            "objects": self._objects,
        }
        print(json.dumps(document, indent=2), file=self._out, flush=True)


@contextmanager
def show_for(output: str, total: int, out: TextIO) -> Iterator[Show]:
    """Yield what shows a run: for ``json`` a document, for ``text`` a bar on a terminal and lines elsewhere."""
    if output == "json":
        yield Document(out)
        return
    if not out.isatty():
        yield Lines(out)
        return
    console = Console(file=out)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(console, progress, progress.add_task("Applying", total=total, detail=""))
