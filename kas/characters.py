"""Which characters act instead of being read, and how they are written out. Pure.

What comes from outside passes here twice: before it is stored (``kas.reports.texts``) and before a terminal shows it
(``kas.cli.text``), as a database may have been written by a kas that knew fewer of them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ACTING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters (escape sequences), formatting (text that runs backwards), surrogates, line separators."""

_TWO_DIGITS: Final = 0xFF
_FOUR_DIGITS: Final = 0xFFFF


def written_out(character: str) -> str:
    r"""Return a character as it is, or as Python writes it where it acts: ``\x1b``, ``\u202e``, ``\U000e0001``."""
    if unicodedata.category(character) not in _ACTING:
        return character
    code = ord(character)
    if code <= _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _FOUR_DIGITS else f"\\U{code:08x}"
