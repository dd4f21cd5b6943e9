"""Sets of fields as ``metadata.managedFields`` writes them (``fieldsV1``), and what may be done with them. Pure.

A set is a tree: ``f:<name>`` is a field, ``k:<JSON>`` the element of a list that holds these keys, ``v:<JSON>`` the
element that has this value. A node without children is in the set itself; one with children only if it has ``.`` too.
Trees are never changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.pointers import Step, matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Fields = dict[str, Any]

_SELF: Final = "."
_ITSELF: Final[Fields] = {_SELF: {}}

_DEEPEST: Final = 128
"""Levels of a set that are looked at. No manifest has as many, so nothing that is applied lies below."""


def read(found: object) -> Fields:
    """Return a set as a server has it. What is no set in it has nothing in it, and all have an end within reach."""
    if not isinstance(found, dict):
        return {}
    level = [found]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node.values()]
        if not level:
            return found
        if not all(isinstance(child, dict) for child in level):
            break
    return _cut(found, _DEEPEST)


def _cut(tree: Fields, levels: int) -> Fields:
    return {key: _cut(node, levels - 1) if isinstance(node, dict) and levels > 1 else {} for key, node in tree.items()}


def union(one: Fields, other: Fields) -> Fields:
    """Return what is in either set."""
    return {
        key: _united(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
        for key in (*one, *(key for key in other if key not in one))
    }


def minus(one: Fields, other: Fields) -> Fields:
    """Return what is in ``one`` and not in ``other``."""
    left: Fields = {}
    for key, node in one.items():
        rest = node if key not in other else _node(_minus(node, other[key]), owns=_owns(node) and not _owns(other[key]))
        if rest is not None:
            left[key] = rest
    return left


def common(one: Fields, other: Fields) -> Fields:
    """Return what is in both sets."""
    return minus(one, minus(one, other))


def with_holders(tree: Fields) -> Fields:
    """Return the set with all that its fields lie in, as fields of their own: of ``.data.a`` also ``.data``."""
    return {key: {**_ITSELF, **with_holders(_children(node))} for key, node in tree.items()}


def take(tree: Fields, steps: tuple[Step, ...]) -> Fields:
    """Return what of the set lies at a field or within it."""
    step, rest = steps[0], steps[1:]
    taken: Fields = {}
    for key, node in tree.items():
        if _is(key, step):
            inner = node if not rest else take(node, rest)
            if inner or not rest:
                taken[key] = inner
    return taken


def ends_above(tree: Fields, steps: tuple[Step, ...]) -> bool:
    """Tell whether the set holds what is above a field only as a whole, so that the field cannot be parted from it."""
    for key, node in tree.items():
        if len(steps) > 1 and _is(key, steps[0]) and (not node or ends_above(node, steps[1:])):
            return True
    return False


def paths(tree: Fields) -> Iterator[str]:
    """Yield every field of the set as people read it: ``.spec.containers[name=app].image``.

    An element of a list stands for what is in it, if all of it is in the set.
    """
    yield from _paths(tree, "")


def _paths(tree: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, node in tree.items():
        path = prefix + _readable(key)
        children = {name: child for name, child in node.items() if name != _SELF}
        if not children or (key.startswith(("k:", "v:")) and _owns(node)):
            yield path
        else:
            yield from _paths(children, path)


def _readable(key: str) -> str:
    kind, _, text = key.partition(":")
    if kind == "f":
        return f".{text}" if "." not in text and "/" not in text else f'["{text}"]'
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return f"[{text}]"
    if isinstance(value, dict):
        return f"[{','.join(f'{name}={one}' for name, one in value.items())}]"
    return f"[{text}]"


def _is(key: str, step: Step) -> bool:
    if isinstance(step, str):
        return key == f"f:{step}"
    if not key.startswith("k:"):
        return False
    try:
        return matches(orjson.loads(key[2:]), step)
    except orjson.JSONDecodeError:
        return False


def _owns(node: Fields) -> bool:
    return not node or _SELF in node


def _node(children: Fields, *, owns: bool) -> Fields | None:
    if not children:
        return {} if owns else None
    return _ITSELF | children if owns else children


def _children(node: Fields) -> Fields:
    return {key: child for key, child in node.items() if key != _SELF}


def _united(one: Fields, other: Fields) -> Fields:
    return _node(union(_children(one), _children(other)), owns=_owns(one) or _owns(other)) or {}


def _minus(one: Fields, other: Fields) -> Fields:
    return minus(_children(one), _children(other))
