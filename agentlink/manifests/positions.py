"""The line of each key and item of a YAML document, for errors that point at their cause.

Values are read without positions, because that is faster; only who has an error to place, or a list to take apart,
asks here, for a text that has been read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.events import (
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Path = tuple[str | int, ...]
Lines = dict[Path, int]


def lines_of(text: str, first_line: int, repeated: list[Path] | None = None) -> Lines:
    """Return the line of the value at each path: keys as they are written, items by index from 0; in their order.

    An entry of a mapping has the line of its key. What an alias or a merge key brings in has no line of its own.
    ``text`` holds one document that ``yaml_reader`` has read, and begins at ``first_line``. Keys that a mapping has
    twice are added to ``repeated``; their line is that of the last, whose value counts.
    """
    lines: Lines = {}
    next_event: Callable[[], Any] = CParser(text).get_event
    stack: list[tuple[Path, int | None]] = []
    path: Path = ()
    index: int | None = 0  # of the next item; None where a key comes next
    pending: Path | None = ()
    try:
        while (event := next_event()) is not None:
            line = first_line + event.start_mark.line
            if isinstance(event, MappingEndEvent | SequenceEndEvent):
                path, index = stack.pop()
            elif isinstance(event, NodeEvent):
                if pending is None and index is None:
                    # A key. One that is an alias gets a path that nobody looks for.
                    pending = (*path, event.value if isinstance(event, ScalarEvent) else "")
                    if repeated is not None and pending in lines:
                        repeated.append(pending)
                    lines[pending] = line
                    continue
                if pending is None:
                    here, index = (*path, index or 0), (index or 0) + 1
                else:
                    here, pending = pending, None
                lines.setdefault(here, line)
                if isinstance(event, MappingStartEvent | SequenceStartEvent):
                    stack.append((path, index))
                    path, index = here, None if isinstance(event, MappingStartEvent) else 0
    except YAMLError:
        pass  # JSON that is not YAML: what was found until there is right
    return lines


def line_at(lines: Mapping[Path, int], path: tuple[Any, ...], default: int) -> int:
    """Return the line of the path, or of the nearest place around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, default)
