"""What is kept in memory to save work, within a bound: least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """A mapping whose values together weigh no more than ``limit``; the newest stays, whatever it weighs."""

    def __init__(self, limit: int, weigh: Callable[[Value], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return what is kept under a key, which counts as a use."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value in place of what was under the key before."""
        before = self._values.pop(key, None)
        weight = self._weigh(value)
        self.weight += weight - (0 if before is None else before[1])
        self._values[key] = value, weight
        while self.weight > self._limit and len(self._values) > 1:
            _, (_, dropped) = self._values.popitem(last=False)
            self.weight -= dropped
