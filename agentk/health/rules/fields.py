"""Reading an object's fields without trusting their types: a custom resource's ``status`` may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def section(obj: Mapping[str, object], *path: str) -> Mapping[str, object]:
    """Return the mapping at a path, empty where there is none."""
    for key in path:
        value = obj.get(key)
        if not isinstance(value, Mapping):
            return {}
        obj = value
    return obj


def number(fields: Mapping[str, object], key: str, default: int = 0) -> int:
    """Return an integer field, or the default."""
    value = fields.get(key)
    return value if isinstance(value, int) else default


def text(fields: Mapping[str, object], key: str, default: str = "") -> str:
    """Return a text field, or the default."""
    value = fields.get(key)
    return value if isinstance(value, str) else default


def sections(fields: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    """Yield the mappings in a list."""
    value = fields.get(key)
    for one in value if isinstance(value, list) else ():
        if isinstance(one, Mapping):
            yield one


@dataclass(frozen=True, slots=True)
class Condition:
    """One of ``status.conditions``. ``observed`` is the generation it speaks of, None when it does not say."""

    type: str
    status: str
    reason: str
    message: str
    observed: int | None

    @property
    def holds(self) -> bool:
        """Whether the condition is true."""
        return self.status == "True"

    def __str__(self) -> str:
        return self.message or self.reason or f"{self.type} is {self.status}"


def conditions(obj: Mapping[str, object]) -> dict[str, Condition]:
    """Return an object's conditions by type."""
    found: dict[str, Condition] = {}
    for one in sections(section(obj, "status"), "conditions"):
        observed = one.get("observedGeneration")
        condition = Condition(
            text(one, "type"),
            text(one, "status"),
            text(one, "reason"),
            text(one, "message"),
            observed if isinstance(observed, int) else None,
        )
        found[condition.type] = condition
    return found
