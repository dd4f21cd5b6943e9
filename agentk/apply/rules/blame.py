"""Who changed what, and when, read from ``managedFields``: of an object as it was found, and as we would have it.

Only names of fields, managers and times are in there, never a value, except of keys that list elements are known by.
Kubernetes records who set a field last; who removed one, it forgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from agentk.apply import fieldsets, managers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentk.apply.managers import Entry

_SHOWN: Final = 5
"""Fields that a message names of one manager's."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one manager did to our fields. ``manager`` is empty for fields that are gone: nobody knows by whose hand.

    ``time`` is when the manager last set anything, as the server writes it. ``fields`` as in ``.spec.replicas``.
    """

    manager: str
    fields: tuple[str, ...]
    operation: str = ""
    subresource: str = ""
    time: str = ""


def changes(found: Sequence[Entry], wanted: Sequence[Entry]) -> tuple[Change, ...]:
    """Compare an object as it was found with how our apply leaves it.

    Args:
        found: Its ``managedFields`` before.
        wanted: Those after, or as a rehearsal says they would be.

    Returns:
        One for each manager that took fields of ours, the latest first; removed ones last.
    """
    lost = fieldsets.minus(managers.ours(wanted), managers.ours(found))
    by: list[Change] = []
    for entry in found:
        if managers.is_ours(entry):
            continue
        taken = fieldsets.common(lost, managers.fields_of(entry))
        if taken:
            by.append(
                Change(
                    str(entry.get("manager", "")),
                    tuple(fieldsets.paths(taken)),
                    str(entry.get("operation", "")),
                    str(entry.get("subresource") or ""),
                    str(entry.get("time") or ""),
                )
            )
    for entry in found:
        lost = fieldsets.minus(lost, managers.fields_of(entry))
    by.sort(key=lambda change: change.time, reverse=True)
    return (*by, Change("", tuple(fieldsets.paths(lost)))) if lost else tuple(by)


def told(found: Iterable[Change]) -> str:
    """Say it in a sentence; empty when there is nothing to say."""
    return "; ".join(_told(change) for change in found)


def _told(change: Change) -> str:
    more = f" and {len(change.fields) - _SHOWN} more" if len(change.fields) > _SHOWN else ""
    fields = ", ".join(islice(change.fields, _SHOWN)) + more
    if not change.manager:
        return f"{fields} removed"
    how = " applied" if change.operation == managers.APPLY else " set"
    through = f" through {change.subresource}" if change.subresource else ""
    when = f" at {change.time}" if change.time else ""
    return f"{change.manager!r}{how} {fields}{through}{when}"
