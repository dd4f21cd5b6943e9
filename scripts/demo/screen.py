"""What the demo writes: headings, commands with their output, remarks. Colours on a terminal only."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TextIO

BOLD = "1"
DIM = "2"
RED = "31"
GREEN = "32"
CYAN = "36"


@dataclass
class Screen:
    """Writes lines at once, so that a pipe shows them as they happen."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _steps: int = 0

    @property
    def coloured(self) -> bool:
        """Whether colours help: on a terminal, unless ``NO_COLOR`` is set."""
        return self.out.isatty() and not os.environ.get("NO_COLOR")

    def line(self, text: str = "") -> None:
        """Write one line as it is."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def step(self, title: str) -> None:
        """Begin the next step of the story."""
        self._steps += 1
        self.line()
        self.line(self._paint(f"{self._steps}. {title}", BOLD))

    def command(self, text: str, output: str = "") -> None:
        """Show a command as a person would type it, and what it printed."""
        self.line(f"   {self._paint('$', DIM)} {self._paint(text, CYAN)}")
        for line in output.splitlines():
            self.line(f"     {line}")

    def note(self, text: str) -> None:
        """Say what there is to know."""
        self.line(f"   {text}")

    def good(self, text: str) -> None:
        """Say what has come true."""
        self.line(f"   {self._paint('✓', GREEN)} {text}")

    def bad(self, text: str) -> None:
        """Say what has gone wrong."""
        self.line(self._paint(text, RED))

    def heading(self, text: str) -> None:
        """Begin a part that is no step."""
        self.line()
        self.line(self._paint(text, BOLD))

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured else text
