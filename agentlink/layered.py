"""A mapping of tens of thousands of entries, of which a changed copy costs what has changed. Never changed in place.

Revisions of one project follow each other and have nearly everything in common: they share one table, and each has what
is different in it on top.
"""

from __future__ import annotations

from collections.abc import ItemsView, Mapping, ValuesView
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_MOST: Final = 1_024
"""Entries on top of the shared table, each copied with every change, until all become a table of their own."""

_FEWEST: Final = 16
_SHARE: Final = 16
"""A table of a few hundred entries is copied sooner than its top has grown so far."""


class Layered(Mapping[K, V], Generic[K, V]):
    """Entries by key, in the order in which the keys came; no value may be None."""

    __slots__ = ("_length", "_table", "_top")

    def __init__(self, table: dict[K, V]) -> None:
        """Take a table over, which nobody changes from now on."""
        self._table = table
        self._top: dict[K, V | None] = {}
        self._length = len(table)

    def changed(self, changes: Mapping[K, V | None]) -> Layered[K, V]:
        """Return these entries with others in their place, or with more; None removes one."""
        if len(self._top) + len(changes) > max(_FEWEST, min(_MOST, len(self._table) // _SHARE)):
            table = dict(self.items())
            for key, value in changes.items():
                if value is not None:
                    table[key] = value
                else:
                    table.pop(key, None)
            return Layered(table)
        made = Layered(self._table)
        made._top = {**self._top, **changes}
        made._length = self._length + sum((value is not None) - (key in self) for key, value in changes.items())
        return made

    def differing(self, before: Layered[K, V]) -> list[K]:
        """Return the keys under which not the same value is, or on one side none.

        Costs as much as has changed since both came from the same, most of the time.
        """
        if self._table is before._table:
            keys = {**before._top, **self._top}.keys()
        else:
            keys = {**before._table, **before._top, **self._table, **self._top}.keys()
        return [key for key in keys if self.get(key) is not before.get(key)]

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...
    def get(self, key: K, /, default: D | None = None) -> V | D | None:
        """Return what is there, or the default."""
        found = self._top.get(key) if key in self._top else self._table.get(key)
        return default if found is None else found

    def items(self) -> ItemsView[K, V]:
        """Return keys and values."""
        return ItemsView(self) if self._top else self._table.items()

    def values(self) -> ValuesView[V]:
        """Return the values."""
        return ValuesView(self) if self._top else self._table.values()

    def __getitem__(self, key: K) -> V:
        """Return what is there."""
        found = self._top[key] if key in self._top else self._table[key]
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[K]:
        """Yield the keys."""
        top, table = self._top, self._table
        for key in table:
            if top.get(key, table) is not None:
                yield key
        for key, value in top.items():
            if value is not None and key not in table:
                yield key

    def __len__(self) -> int:
        """Return how many there are."""
        return self._length

    def __contains__(self, key: object) -> bool:
        """Tell whether there is one."""
        return self._top[key] is not None if key in self._top else key in self._table
