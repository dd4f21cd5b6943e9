"""The line of a key or item of a YAML document, for errors that point at their cause.

Values are read without positions, because that is faster and smaller; only who has an error to place, or a list to take
apart, asks here, for a text that has been read before. Nothing is kept of what nobody asks for: a document of a few
kilobytes in Git may have a million values, nested a hundred deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Path = tuple[str | int, ...]
"""Keys as they are written, and indices of items from 0."""

_ITEMS = "items"
_NODES = frozenset({AliasEvent, ScalarEvent, MappingStartEvent, SequenceStartEvent})


def lines_at(text: str, first_line: int, paths: Iterable[Path], default: int) -> dict[Path, int]:
    """Return the line of the value at each path, or of the nearest place around it that has one.

    An entry of a mapping has the line of its key. What an alias or a merge key brings in has no line of its own; where
    nothing around it has one either, it is ``default``. ``text`` holds one document that ``yaml_reader`` has read, and
    begins at ``first_line``.
    """
    wanted = frozenset(paths)
    around = {path[:length] for path in wanted for length in range(len(path) + 1)}
    lines = dict(_walk(text, first_line, around.__contains__))  # of a key that stands there twice, the last counts
    return {
        path: next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), default)
        for path in wanted
    }


def item_lines(text: str, first_line: int, most: int) -> dict[Path, int]:
    """Return the lines of the first ``most`` objects of a ``List`` and of lists in it, by their paths; see above."""
    lines: dict[Path, int] = {}
    for path, line in _walk(text, first_line, _is_of_a_list):
        if path and isinstance(path[-1], int):
            lines[path] = line
            if len(lines) == most:
                break
    return lines


def key_order(text: str, is_wanted: Callable[[Path], bool]) -> list[Path]:
    """Return the keys of mappings in the order of the text, one that stands there twice as often; see above.

    Args:
        text: One document that ``yaml_reader`` has read.
        is_wanted: Tells whether a place counts. What is in one that does not is passed over, so that it also says how
            much is kept.
    """
    return [path for path, _ in _walk(text, 1, is_wanted) if path and isinstance(path[-1], str)]


def _walk(  # noqa: C901, PLR0912 - one loop over events, as in yaml_reader
    text: str, first_line: int, wanted: Callable[[Path], bool]
) -> Iterator[tuple[Path, int]]:
    """Yield path and line of each place that is wanted.

    What is not wanted, and so all that is in it, costs a count of how deep one is.
    """
    next_event: Any = CParser(text).get_event
    stack: list[tuple[Path, int | None]] = []
    path: Path = ()
    index: int | None = 0  # of the next item; None where a key comes next
    pending: Path | None = ()  # of the value that comes next, where its key has been; an empty one for the root
    unwanted = 0  # how many collections are open in which nothing is wanted
    try:
        while (event := next_event()) is not None:
            kind = type(event)
            if unwanted:
                unwanted += (kind is MappingStartEvent or kind is SequenceStartEvent) - (
                    kind is MappingEndEvent or kind is SequenceEndEvent
                )
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                path, index = stack.pop()
            elif kind in _NODES:
                if pending is None and index is None:
                    # A key. One that is an alias gets a path that nobody looks for.
                    pending = (*path, event.value if kind is ScalarEvent else "")
                    if wanted(pending):
                        yield pending, first_line + event.start_mark.line
                    continue
                is_entry = bool(pending)  # its key has been told of
                if pending is None:
                    here, index = (*path, index or 0), (index or 0) + 1
                else:
                    here, pending = pending, None
                is_wanted = wanted(here)
                if is_wanted and not is_entry:
                    yield here, first_line + event.start_mark.line
                if kind is MappingStartEvent or kind is SequenceStartEvent:
                    if is_wanted:
                        stack.append((path, index))
                        path, index = here, None if kind is MappingStartEvent else 0
                    else:
                        unwanted = 1
    except YAMLError:
        pass  # JSON that is not YAML: what was found until there is right


def _is_of_a_list(path: Path) -> bool:
    """Tell whether a place is ``items`` of a ``List``, or in it."""
    # Only what is wanted is gone into, so that the last part says whether the rest is as it should be.
    return not path or path[-1] == _ITEMS or isinstance(path[-1], int)
