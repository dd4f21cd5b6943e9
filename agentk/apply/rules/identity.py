"""What of an object no other object may decide: what it is, whose it is, and what is done about it.

A manifest is judged as it stands in Git. So a field by which it is judged is not filled from elsewhere: not by its path
(``refuse_target``, when the annotation is read), and not by way of what is around it (``changed``, when it is filled).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentk.apply.names import steers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVER_FIELDS: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Metadata that ``kubectl get -o yaml`` exports and only the server writes.

Dropped from manifests, not refused: whoever exported an object into Git wants its content, and kept they would make
every apply fail (``managedFields``) or fail as soon as anybody touches the object (``resourceVersion``, ``uid``).
"""

_WHOLE: Final = frozenset({"apiVersion", "kind", "status"})
_NAMES: Final = frozenset({"name", "namespace"})
_MARKS: Final = ("labels", "annotations")


def is_fixed(steps: Sequence[object]) -> bool:
    """Tell whether a path is, holds, or lies in what no other object may decide.

    Args:
        steps: The path, fields as texts.
    """
    match tuple(steps):
        case () | ("metadata",) | ("metadata", "labels" | "annotations"):
            return True
        case ("metadata", "labels" | "annotations", str(key), *_):
            return steers(key)
        case ("metadata", str(field), *_):
            return field in SERVER_FIELDS or field in _NAMES
        case (first, *_):
            return first in _WHOLE
    return False


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what filling changed of what is not to be filled, as a path; empty where that is nothing.

    Args:
        before: The object as Git has it, as it would be sent.
        after: The same with its fields filled.
    """
    for field in sorted(_WHOLE):
        if before.get(field) != after.get(field):
            return field
    was, is_now = before.get("metadata"), after.get("metadata")
    if not isinstance(was, dict) or not isinstance(is_now, dict):
        return "metadata"
    for field in sorted(SERVER_FIELDS | _NAMES):
        if was.get(field) != is_now.get(field):
            return f"metadata.{field}"
    for field in _MARKS:
        marks = is_now.get(field)
        if not isinstance(marks, dict):
            return f"metadata.{field}"
        if _steering(was.get(field)) != _steering(marks):
            return f"metadata.{field}, in a key that agentk goes by"
    return ""


def _steering(marks: object) -> dict[str, object]:
    return {key: value for key, value in marks.items() if steers(key)} if isinstance(marks, dict) else {}
