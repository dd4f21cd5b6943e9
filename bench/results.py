"""What a benchmark gives, and how people and programs read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One number.

    Attributes:
        name: the benchmark's, as ``ONLY=`` takes it, or that with more behind it for its details.
        value: in ``unit``.
        unit: such as ``ms``.
        ratio: the value divided by what ``against`` names, measured in the same run or a fixed aim; None without one.
        against: what the ratio is to, with its own number; or the aim in words.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""


def write(results: Sequence[Result], file: Path) -> None:
    """Write what programs read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False) + "\n")


def show(results: Sequence[Result]) -> None:
    """Print what people read."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("value", "unit", "ratio"):
        table.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    table.add_column("against")
    for result in results:
        ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
        table.add_row(result.name, f"{result.value:,.1f}".removesuffix(".0"), result.unit, ratio, result.against)
    Console().print(table)
