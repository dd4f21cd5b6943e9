"""Paths to one value inside an object, as much of JSONPath as apply-time mutation needs. Pure.

``$`` is the object; then ``.name``, ``['name']``, ``[0]``, ``[-1]``, ``[(@.length - 1)]`` and ``[?(@.name == 'x')]``,
which picks the one element whose field (or path of fields) has that value. A path leads to one value or to none;
nothing in it loops, recurses or calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_LENGTH: Final = 1024
"""Characters of a path."""

_STEP: Final = re.compile(
    r"""
      \.(?P<field>[^.\[\]\s'"*?@()]+)
    | \[\s*(?P<index>-?[0-9]{1,9})\s*\]
    | \[\s*\(\s*@\.length\s*-\s*(?P<back>[1-9][0-9]{0,8})\s*\)\s*\]
    | \[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]
    | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]
    | \[\s*\?\s*\(\s*@(?P<where>(?:\.[^.\[\]\s'"*?@()=]+)+)\s*==\s*
        (?:'(?P<is_single>(?:[^'\\]|\\.)*)'|"(?P<is_double>(?:[^"\\]|\\.)*)"|(?P<is_bare>-?[0-9]{1,18}|true|false))
        \s*\)\s*\]
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_BARE: Final = {"true": True, "false": False}


class PathError(ValueError):
    """A path cannot be read, or does not lead to exactly one value. The text never quotes a value."""


@dataclass(frozen=True, slots=True)
class _Where:
    """Picks the element whose fields lead to ``value``."""

    fields: tuple[str, ...]
    value: object


_Step = str | int | _Where


def get(document: object, path: str) -> object:
    """Return the value that a path leads to.

    Raises:
        PathError: It cannot be read, leads nowhere, or to more than one value.
    """
    value = document
    for step in parse(path):
        container, key = _enter(value, step, path)
        value = container[key]  # type: ignore[index] # _enter returns a pair that fits
    return value


def put(document: object, path: str, value: object) -> None:
    """Set what a path leads to; a last field that is not there yet is added.

    Raises:
        PathError: As for ``get``.
    """
    steps = parse(path)
    if not steps:
        raise PathError(f"{path!r} is the whole object")
    at = document
    for step in steps[:-1]:
        container, key = _enter(at, step, path)
        at = container[key]  # type: ignore[index] # as above
    last = steps[-1]
    if isinstance(at, dict) and isinstance(last, str):
        at[last] = value
        return
    container, key = _enter(at, last, path)
    container[key] = value  # type: ignore[index] # as above


def parse(path: str) -> tuple[_Step, ...]:
    """Read a path.

    Raises:
        PathError: It cannot be read.
    """
    if len(path) > MAX_LENGTH:
        raise PathError(f"a path has more than {MAX_LENGTH} characters")
    if not path.startswith("$"):
        raise PathError(f"{path!r} does not begin with $")
    steps: list[_Step] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise PathError(f"{path!r} cannot be read from {path[at : at + 40]!r} on")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> _Step:
    found = match.groupdict()
    if found["where"] is not None:
        text = found["is_single"] if found["is_single"] is not None else found["is_double"]
        bare = found["is_bare"]
        value: object = _ESCAPE.sub(r"\1", text) if bare is None else _BARE.get(bare)
        return _Where(tuple(found["where"][1:].split(".")), int(bare) if bare is not None and value is None else value)
    if found["field"] is not None:
        return found["field"]
    if found["index"] is not None:
        return int(found["index"])
    if found["back"] is not None:
        return -int(found["back"])
    quoted = found["single"] if found["single"] is not None else found["double"]
    return _ESCAPE.sub(r"\1", quoted)


def _enter(value: object, step: _Step, path: str) -> tuple[object, str | int]:
    """Return the container and the key in it that a step leads to."""
    match value, step:
        case dict(), str() if step in value:
            return value, step
        case list(), int() if -len(value) <= step < len(value):
            return value, step
        case list(), _Where():
            picked = [i for i, one in enumerate(value) if _holds(one, step)]
            if len(picked) == 1:
                return value, picked[0]
            raise PathError(f"{path!r} leads to {len(picked)} values, not one")
    raise PathError(f"{path!r} leads to no value")


def _holds(element: object, where: _Where) -> bool:
    for field in where.fields:
        if not isinstance(element, dict) or field not in element:
            return False
        element = element[field]
    return type(element) is type(where.value) and element == where.value
