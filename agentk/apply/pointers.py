"""Fields by name, as people write them: JSON pointers, in which a list element is chosen by what is in it. Pure.

``/spec/template/spec/containers/[name=app]/image`` is the image of the container called app. An element's position says
nothing here: Kubernetes keeps such lists by key, and what is first in Git may be second in the cluster.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

Keys = tuple[tuple[str, str], ...]
"""What a list element must hold to be meant."""

Step = str | Keys
"""One step down: the key of a mapping, or what the element of a list holds."""

_ELEMENT: Final = re.compile(r"\[([^\]]+)\]")


class PointerError(ValueError):
    """A pointer that names no field, or none that can be left to others; the text says why."""


def parse(pointer: str) -> tuple[Step, ...]:
    """Read a pointer.

    Raises:
        PointerError: It is not well formed.
    """
    if not pointer.startswith("/") or pointer.endswith("/"):
        raise PointerError(f"{pointer!r} is no field; write it as in /spec/replicas")
    return tuple(_step(pointer, segment) for segment in pointer[1:].split("/"))


def remove(document: dict[str, Any], steps: tuple[Step, ...]) -> bool:
    """Take a field out of ``document``; tell whether there was one.

    Raises:
        PointerError: The way leads into a list by position, or to the key that an element is known by.
    """
    return _remove(document, steps)


def covers(outer: tuple[Step, ...], inner: tuple[Step, ...]) -> bool:
    """Tell whether ``inner`` is the field ``outer`` or lies within it."""
    return inner[: len(outer)] == outer


def matches(element: object, keys: Keys) -> bool:
    """Tell whether a list element is the one meant; values are compared as JSON writes them, texts without quotes."""
    return isinstance(element, dict) and all(key in element and _text(element[key]) == value for key, value in keys)


def _step(pointer: str, segment: str) -> Step:
    found = _ELEMENT.fullmatch(segment)
    if found is None:
        if not segment:
            raise PointerError(f"{pointer!r} is no field; write it as in /spec/replicas")
        return _unescape(segment)
    pairs = [pair.partition("=") for pair in found[1].split(",")]
    if any(not key or not equals for key, equals, _ in pairs):
        raise PointerError(f"{pointer!r}: choose a list's element as in /containers/[name=app]")
    return tuple((_unescape(key), _unescape(value)) for key, _, value in pairs)


def _unescape(text: str) -> str:
    return text.replace("~1", "/").replace("~0", "~")


def _remove(node: object, steps: tuple[Step, ...]) -> bool:
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(node, list):
            raise PointerError(f"{step!r} names a list's element by position; choose it by key, as in [name=app]")
        if not isinstance(node, dict) or step not in node:
            return False
        if rest:
            return _remove(node[step], rest)
        del node[step]
        return True
    if not isinstance(node, list):
        return False
    meant = [element for element in node if matches(element, step)]
    if not rest:
        node[:] = [element for element in node if not matches(element, step)]
        return bool(meant)
    if any(key == rest[0] for key, _ in step) and len(rest) == 1:
        raise PointerError(f"{rest[0]!r} is what the list's element is known by, and cannot be left to others")
    return sum(_remove(element, rest) for element in meant) > 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
