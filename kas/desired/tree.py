"""What a commit holds, and what differs between two: looked through by directory, not from end to end.

Hundreds of selections of a repository of a hundred thousand files ask for a few directories each.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from kas.desired.model import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class TreeChange:
    """What became of one path between two commits. ``entry`` is what is there now, None where nothing is."""

    path: str
    entry: TreeEntry | None


Item = TypeVar("Item", TreeEntry, TreeChange)


class Paths(Generic[Item]):
    """The entries of a commit, or the changes between two, found by directory. No path is there twice."""

    def __init__(self, items: Iterable[Item]) -> None:
        # As strings compare: Git's order is that of bytes, which differs for what is not UTF-8.
        self._items: list[Item] = sorted(items, key=lambda item: item.path)
        self._names: list[str] = [item.path for item in self._items]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._items)

    def below(self, roots: Sequence[str]) -> Iterator[Item]:
        """Yield what lies below any of the directories, each written with a slash at its end; ``""`` is all.

        No root may lie below another.
        """
        for root in roots:
            first = bisect_left(self._names, root)
            # The next name that does not begin so: a slash is followed by nothing but "0".
            end = bisect_left(self._names, f"{root[:-1]}0", first) if root else len(self._names)
            yield from self._items[first:end]

    def at(self, paths: Iterable[str]) -> Iterator[Item]:
        """Yield what is at these paths, as far as there is something."""
        for path in paths:
            place = bisect_left(self._names, path)
            if place < len(self._names) and self._names[place] == path:
                yield self._items[place]
