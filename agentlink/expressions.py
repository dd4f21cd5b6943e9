"""CEL expressions over one object, ``self``: the only place that knows the library (docs/decisions/0016-cel.md).

Expressions are hostile input. Reading one is bounded by its length, which the configuration limits. Evaluating one is
not: ten thousand steps over a large object take a minute. So kas only reads them, and agentk evaluates them in a
process of their own (``agentk.health.expressions``).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from cel_expr_python import cel

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EXPRESSION: Final = 4096
"""Characters of an expression."""

_SHOWN: Final = 300
"""Characters of what the library says."""

_PLACE: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")


class ExpressionError(Exception):
    """An expression that cannot be read, or that is no condition. The text says where and why, in one line."""


class MissingFieldError(Exception):
    """The object has no field, or no entry, that the expression reads. The text is the library's."""


class EvaluationError(Exception):
    """The expression cannot be evaluated for this object. The library's text, which may hold values of the object."""


class Expression:
    """An expression that was read and checked, to be evaluated for any number of objects."""

    def __init__(self, text: str) -> None:
        """Read ``text``.

        Raises:
            ExpressionError: It is too long, no CEL, reads something other than ``self``, or can never be true or false.
        """
        if len(text) > MAX_EXPRESSION:
            raise ExpressionError(f"{len(text)} characters; at most {MAX_EXPRESSION} are read")
        try:
            self._compiled = _environment().compile(text)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ExpressionError(_readable(str(error))) from None
        kind = self._compiled.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            raise ExpressionError(f"gives {kind.name()}, not true or false")

    def holds(self, obj: Mapping[str, object]) -> bool:
        """Evaluate for one object. Takes as long as it takes, and as much memory.

        Raises:
            MissingFieldError: What it reads is not there.
            EvaluationError: It fails for another reason, or gives something other than true or false.
        """
        try:
            value = self._compiled.eval(data={"self": obj})
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(_short(str(error))) from None
        kind = value.type()
        if kind == cel.Type.BOOL:
            return value.plain_value() is True
        if kind == cel.Type.ERROR:
            text = str(value.plain_value())
            raise (MissingFieldError if text.startswith("NOT_FOUND") else EvaluationError)(_short(text))
        raise EvaluationError(f"it gives {kind.name()}, not true or false")


@functools.cache
def _environment() -> cel.Env:
    return cel.NewEnv(variables={"self": cel.Type.DYN})


def _readable(text: str) -> str:
    """Return the first complaint of the library, with its place as people count."""
    found = _PLACE.search(text)
    if found is None:
        return _short(text)
    line, column, complaint = found.groups()
    place = f"line {line}, column {column}: " if int(line) > 0 else ""
    return _short(f"{place}{complaint}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
