"""The difference between an object as it is and as it would be, field by field. Pure.

Values of Secrets are masked here, at the source, so that nothing that carries a difference on can show them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_FIELDS: Final = 500
"""Fields told of one object; a difference beyond that nobody reads."""

LONGEST_VALUE: Final = 8 * 1024
"""Characters told of one value."""

_SERVER_FIELDS: Final = frozenset(
    {"creationTimestamp", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
)
"""Metadata that the server keeps, which no manifest decides."""

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation in which kubectl repeats the whole object, a Secret's values too."""

_MASK: Final = "***"
_MASK_BEFORE: Final = "*** (before)"
_MASK_AFTER: Final = "*** (after)"
_SECRET_FIELDS: Final = ("data", "stringData")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs: its JSON pointer, and its values as JSON, empty where there is none.

    The pointer is empty for an object as a whole. An element of a list is counted in the list that holds it: the new
    one where it is in both.
    """

    path: str
    before: str
    after: str


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Return what differs, in the order of the paths; an object that is new is one change as a whole.

    Args:
        before: The live object, None when there is none.
        after: What the server would store.
    """
    if before is None:
        return (FieldChange("", "", _text(_masked(_told(after)))),)
    old, new = _told(before), _told(after)
    if _is_secret(new):
        old, new = _masked_pair(old, new)
    found: list[FieldChange] = []
    for change in _compare("", old, new):
        if len(found) == MOST_FIELDS:
            found.append(FieldChange("", "", _text(f"more than {MOST_FIELDS} fields differ; the rest is left out")))
            break
        found.append(change)
    return tuple(found)


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an object that a manifest decides."""
    told = {key: value for key, value in document.items() if key != "status"}
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key not in _SERVER_FIELDS}
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and _LAST_APPLIED in annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    told["metadata"] = metadata
    return told


def _is_secret(document: Mapping[str, Any]) -> bool:
    return document.get("kind") == "Secret" and document.get("apiVersion") == "v1"


def _masked(document: dict[str, Any]) -> dict[str, Any]:
    if not _is_secret(document):
        return document
    masked = dict(document)
    for field in _SECRET_FIELDS:
        if field in masked:
            values = masked[field]
            masked[field] = dict.fromkeys(values, _MASK) if isinstance(values, dict) else _MASK
    return masked


def _masked_pair(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mask two states of a Secret so that a value that differs still does."""
    masked_old, masked_new = _masked(old), _masked(new)
    for field in _SECRET_FIELDS:
        was, will = old.get(field), new.get(field)
        if not isinstance(was, dict) or not isinstance(will, dict):
            continue
        for key in was.keys() & will.keys():
            if was[key] != will[key]:
                masked_old[field][key], masked_new[field][key] = _MASK_BEFORE, _MASK_AFTER
    return masked_old, masked_new


def _compare(path: str, old: Any, new: Any) -> Iterator[FieldChange]:  # noqa: ANN401 - JSON has no smaller type
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _member(f"{path}/{_escaped(key)}", old, new, key)
    elif isinstance(old, list) and isinstance(new, list) and (names := _names(old, new)):
        yield from _compare_named(path, old, new, names)
    elif _json(old) != _json(new):  # to Python, true is 1
        yield FieldChange(path, _text(old), _text(new))


def _member(path: str, old: dict[str, Any], new: dict[str, Any], key: str) -> Iterator[FieldChange]:
    if key not in old:
        yield FieldChange(path, "", _text(new[key]))
    elif key not in new:
        yield FieldChange(path, _text(old[key]), "")
    else:
        yield from _compare(path, old[key], new[key])


def _compare_named(
    path: str, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], key: str
) -> Iterator[FieldChange]:
    """Compare lists whose elements have names: one that is put in front does not make all others differ."""
    before = {element[key]: element for element in old}
    for index, element in enumerate(new):
        was = before.pop(element[key], None)
        if was is None:
            yield FieldChange(f"{path}/{index}", "", _text(element))
        else:
            yield from _compare(f"{path}/{index}", was, element)
    for index, element in enumerate(old):
        if element[key] in before:
            yield FieldChange(f"{path}/{index}", _text(element), "")


def _names(*lists: Sequence[Any]) -> str | None:
    """Return the key by which the elements of all lists are told apart, None where there is none."""
    for key in ("name", "mountPath", "containerPort", "port", "key", "type", "ip"):
        if all(_distinguishes(key, elements) for elements in lists):
            return key
    return None


def _distinguishes(key: str, elements: Sequence[Any]) -> bool:
    values = [element.get(key) for element in elements if isinstance(element, dict)]
    return (
        len(values) == len(elements)
        and all(isinstance(value, str | int) for value in values)
        and len(set(values)) == len(values)
    )


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _json(value: Any) -> bytes:  # noqa: ANN401 - JSON has no smaller type
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _text(value: Any) -> str:  # noqa: ANN401 - JSON has no smaller type
    text = _json(value).decode()
    if len(text) <= LONGEST_VALUE:
        return text
    # Cut as a text within JSON, so that it still is JSON.
    return orjson.dumps(f"{text[:LONGEST_VALUE]}… ({len(text)} characters)").decode()
