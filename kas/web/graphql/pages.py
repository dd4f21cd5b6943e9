"""Pages of a list, as GraphQL connections cut them. Pure.

A cursor is opaque to callers and names the line after which a page begins (or before which it ends) by its key, so that
a line which comes or goes between two pages moves nothing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

PAGE_SIZE: Final = 100
"""The most that one page holds, and what it holds when nothing is said; GitLab's number."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: the ``first`` lines after a cursor, or the ``last`` before one."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page, each line with its cursor, and whether there is more on either side."""

    lines: tuple[tuple[str, T], ...]
    has_next: bool
    has_previous: bool
    count: int


def page_of(lines: Sequence[T], key: Callable[[T], str], asked: PageRequest) -> Page[T]:
    """Cut a page out of a list.

    Args:
        lines: everything, in an order that does not change.
        key: what tells a line from all others.
        asked: which page.

    Raises:
        ValueError: there is no such page; the text says why.
    """
    for name, size in (("first", asked.first), ("last", asked.last)):
        if size is not None and size < 0:
            raise ValueError(f"{name} must not be negative")
    if asked.first is not None and asked.last is not None:
        raise ValueError("first and last cannot be used together")
    keys = [key(line) for line in lines]
    start = 0 if asked.after is None else _position(asked.after, keys, "after") + 1
    stop = len(keys) if asked.before is None else _position(asked.before, keys, "before")
    stop = max(start, stop)
    if asked.last is not None:
        start = max(start, stop - min(asked.last, PAGE_SIZE))
    else:
        stop = min(stop, start + min(PAGE_SIZE if asked.first is None else asked.first, PAGE_SIZE))
    chosen = tuple((_cursor(keys[index]), lines[index]) for index in range(start, stop))
    return Page(chosen, has_next=stop < len(keys), has_previous=start > 0, count=len(keys))


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _position(cursor: str, keys: list[str], name: str) -> int:
    try:
        key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        return keys.index(key)
    except (ValueError, binascii.Error):
        raise ValueError(f"{name} names a line that is not there (any more): start from the first page") from None
