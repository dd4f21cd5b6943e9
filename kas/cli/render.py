"""Writes tables and trees as aligned plain text, as kubectl does; colours only where a person looks.

Takes the values of ``kas.cli.views`` and returns lines; ``Screen`` says what the reader's end can show.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from kas.cli.text import cut, inert, pad, width
from kas.cli.views import TREE_COLUMNS, Cell, Node, Table, Tone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_GAP = "   "
_COLOURS: Mapping[Tone, str | None] = {
    Tone.PLAIN: None,
    Tone.GOOD: "green",
    Tone.BUSY: "yellow",
    Tone.BAD: "red",
    Tone.FAINT: "bright_black",
}
_MIN_LAST_COLUMN = 20


@dataclass(frozen=True, slots=True)
class Screen:
    """What the reader's end can show. ``columns`` is its width in cells, None for a file or pipe: nothing is cut."""

    colours: bool = False
    columns: int | None = None
    lines_drawn: bool = True

    @classmethod
    def of_stdout(cls) -> Screen:
        """Look at standard output; ``NO_COLOR`` (https://no-color.org) turns colours off."""
        terminal = sys.stdout.isatty()
        encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
        return cls(
            colours=terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
            columns=shutil.get_terminal_size().columns if terminal else None,
            lines_drawn=encoding.startswith("utf"),
        )


def _painted(text: str, tone: Tone, screen: Screen) -> str:
    colour = _COLOURS[tone]
    return click.style(text, fg=colour) if colour and screen.colours else text


class TableWriter:
    """Writes the rows of one table, at once or as they come: columns only ever grow wider."""

    def __init__(self, *, wide: bool, headers: bool, screen: Screen) -> None:
        self._wide = wide
        self._headers = headers
        self._screen = screen
        self._widths: list[int] = []

    def lines(self, table: Table) -> Iterator[str]:
        """Yield the lines of a table: first its header (once), then its rows."""
        shown = [index for index, name in enumerate(table.columns) if self._wide or name not in table.wide]
        header = tuple(Cell(table.columns[index]) for index in shown)
        rows = [tuple(_inert(row[index]) for index in shown) for row in table.rows]
        measured = _widths([header, *rows])
        self._widths = [max(pair) for pair in zip(measured, self._widths or measured, strict=True)]
        for row in [header, *rows] if self._headers else rows:
            yield _line(row, self._widths, self._screen, cutting=not self._wide)
        self._headers = False


def _inert(cell: Cell) -> Cell:
    return Cell(inert(cell.text), cell.tone)


def _widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [max(width(cell.text) for cell in column) for column in zip(*rows, strict=True)]


def _line(row: Sequence[Cell], widths: Sequence[int], screen: Screen, *, cutting: bool) -> str:
    *before, (last, _) = zip(row, widths, strict=True)
    line = "".join(_painted(pad(cell.text, cells), cell.tone, screen) + _GAP for cell, cells in before)
    text = last.text
    if cutting and screen.columns is not None:
        used = sum(cells + len(_GAP) for _, cells in before)
        text = cut(text, max(_MIN_LAST_COLUMN, screen.columns - used))
    return (line + _painted(text, last.tone, screen)).rstrip()


@dataclass(frozen=True, slots=True)
class _Drawing:
    branch: str
    last: str
    through: str
    blank: str


_LINES = _Drawing("├─ ", "└─ ", "│  ", "   ")
_ASCII = _Drawing("|- ", "`- ", "|  ", "   ")


def tree_lines(root: Node, *, headers: bool, screen: Screen) -> Iterator[str]:
    """Yield a tree line by line, titles indented and drawn, the cells beside them aligned over all levels."""
    drawing = _LINES if screen.lines_drawn else _ASCII
    empty = (Cell(""),) * (len(TREE_COLUMNS) - 1)
    rows = [
        (Cell(prefix + inert(node.title.text), node.title.tone), *map(_inert, node.cells), *empty[len(node.cells) :])
        for prefix, node in _flattened(root, drawing, "", "")
    ]
    header = tuple(map(Cell, TREE_COLUMNS))
    widths = _widths([header, *rows])
    for row in [header, *rows] if headers else rows:
        yield _line(row, widths, screen, cutting=True)


def _flattened(node: Node, drawing: _Drawing, here: str, below: str) -> Iterator[tuple[str, Node]]:
    yield here, node
    for index, child in enumerate(node.children):
        final = index == len(node.children) - 1
        yield from _flattened(
            child,
            drawing,
            below + (drawing.last if final else drawing.branch),
            below + (drawing.blank if final else drawing.through),
        )
