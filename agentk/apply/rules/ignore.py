"""Fields that are left to others: not sent for an object that exists, and set when it is created.

Leaving a field out is not enough. What an applier alone held and no longer sends, the server removes; replicas would
fall to 1 in the moment that an autoscaler takes over. So such fields are handed over first, to a manager of that
purpose, who loses them to whoever sets them next.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from agentk.apply import fieldsets, managers
from agentk.apply.names import AGENT_LABEL, LEFT_MANAGER, OWNING_INVENTORY
from agentk.apply.pointers import PointerError, Step, covers, parse, remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentk.apply.managers import Entry
    from agentk.apply.model import IgnoreRule
    from agentlink.refs import ObjectRef

_OURS: Final[tuple[tuple[Step, ...], ...]] = (
    ("apiVersion",),
    ("kind",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "labels", AGENT_LABEL),
    ("metadata", "annotations", OWNING_INVENTORY),
)
"""What an object is addressed and found by, which nobody else may decide."""


def left_to_others(ref: ObjectRef, rules: Iterable[IgnoreRule]) -> tuple[str, ...]:
    """Return the fields of one object that a project's rules leave to others."""
    return tuple(
        pointer
        for rule in rules
        if rule.kind in {"", ref.kind}
        and (not rule.group or rule.group == ref.group)
        and rule.namespace in {"", ref.namespace}
        and rule.name in {"", ref.name}
        for pointer in rule.fields
    )


def leave_out(document: dict[str, Any], pointers: Iterable[str]) -> bool:
    """Take fields out of an object; tell whether it held any.

    Raises:
        PointerError: One of them cannot be left to others.
    """
    return sum(remove(document, _steps(pointer)) for pointer in pointers) > 0


def hand_over(managed: Sequence[Entry], pointers: Iterable[str]) -> list[Entry]:
    """Return an object's ``managedFields`` with our share in these fields given to ``LEFT_MANAGER``.

    Raises:
        PointerError: We hold what is around the field as a whole; parted from it, it would be removed.
    """
    ours = managers.ours(managed)
    given: fieldsets.Fields = {}
    for pointer in pointers:
        steps = _steps(pointer)
        if fieldsets.ends_above(ours, steps):
            raise PointerError(
                f"{pointer} lies in a field that Kubernetes keeps as a whole, so it cannot be left to others by itself"
            )
        given = fieldsets.union(given, fieldsets.take(ours, steps))
    if not given:
        return list(managed)
    own = next(entry for entry in managed if managers.is_ours(entry))
    holder = {**own, "manager": LEFT_MANAGER, "operation": managers.UPDATE}
    rest: list[Entry | None] = []
    for entry in managed:
        if managers.is_ours(entry):
            rest.append(managers.with_fields(entry, fieldsets.minus(managers.fields_of(entry), given)))
        elif _holds_what_is_left(entry, own):
            given = fieldsets.union(given, managers.fields_of(entry))
        else:
            rest.append(entry)
    return managers.compact([*rest, managers.with_fields(holder, given)])


def _holds_what_is_left(entry: Entry, own: Entry) -> bool:
    return (
        entry.get("manager") == LEFT_MANAGER
        and entry.get("operation") == managers.UPDATE
        and entry.get("apiVersion") == own.get("apiVersion")
        and not entry.get("subresource")
    )


@lru_cache(maxsize=1024)
def _steps(pointer: str) -> tuple[Step, ...]:
    steps = parse(pointer)
    if any(covers(steps, one) or covers(one, steps) for one in _OURS):
        raise PointerError(f"{pointer} holds what the object is known by, and cannot be left to others")
    return steps
