"""Makes words from outside harmless before they are kept: bounded, and without characters that act. Pure.

What is stored is shown in terminals, logs and pages for years; this is the one door it comes in by. Databases differ,
too: PostgreSQL takes no NUL.
"""

from __future__ import annotations

from typing import Final

from kas.characters import written_out

WORD: Final = 255
"""The most characters of a reason, an id, a ref's name."""

NAME: Final = 253
"""The most characters of a part of an object's name, as Kubernetes has it."""

SENTENCE: Final = 4096
"""The most characters of a message or a path."""

_CUT: Final = "…"


def inert(text: str, limit: int, *, lines: bool = False) -> str:
    r"""Return at most ``limit`` characters of a text, with characters that act written as ``\x1b`` or ``\u202e``.

    Args:
        text: from outside.
        limit: a longer text ends in an ellipsis.
        lines: leave line breaks and tabs as they are.
    """
    # Escapes make a text longer, so a character past the limit cannot be among the first ``limit`` of the result.
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(_shown(character, lines=lines) for character in shown)
    return shown if len(shown) <= limit else shown[: limit - len(_CUT)] + _CUT


def _shown(character: str, *, lines: bool) -> str:
    return character if lines and character in "\n\t" else written_out(character)
