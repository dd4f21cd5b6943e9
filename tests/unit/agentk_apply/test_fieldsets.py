from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply import fieldsets
from agentk.apply.pointers import parse

if TYPE_CHECKING:
    from agentk.apply.fieldsets import Fields

CONTAINER = 'k:{"name":"app"}'
APPLIED: Fields = {
    "f:metadata": {"f:labels": {"f:agentk.io/agent": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:containers": {CONTAINER: {".": {}, "f:image": {}, "f:name": {}}},
        "f:finalizers": {".": {}, 'v:"a"': {}},
    },
}


def nodes(depth: int) -> st.SearchStrategy[Any]:
    if not depth:
        return st.just({})
    children = st.dictionaries(st.sampled_from(["f:a", "f:b", "f:c"]), nodes(depth - 1), max_size=3)
    return st.builds(lambda owns, inner: {".": {}, **inner} if owns and inner else inner, st.booleans(), children)


trees = st.dictionaries(st.sampled_from(["f:a", "f:b", "f:c"]), nodes(2), max_size=3)


def members(tree: Fields, prefix: str = "") -> set[str]:
    """The set as plain paths, worked out another way."""
    found = set()
    for key, node in tree.items():
        if key != ".":
            path = f"{prefix}/{key}"
            if not node or "." in node:
                found.add(path)
            found |= members(node, path)
    return found


@given(trees, trees)
def test_sets_of_fields_behave_as_sets(one: Fields, other: Fields) -> None:
    assert members(fieldsets.union(one, other)) == members(one) | members(other)
    assert members(fieldsets.minus(one, other)) == members(one) - members(other)
    assert members(fieldsets.common(one, other)) == members(one) & members(other)
    assert not fieldsets.minus(one, one)


@given(trees, trees)
def test_nothing_is_changed_in_place(one: Fields, other: Fields) -> None:
    before = repr((one, other))
    fieldsets.union(one, other)
    fieldsets.common(one, other)
    assert repr((one, other)) == before


@pytest.mark.parametrize(
    ("pointer", "taken"),
    [
        ("/spec/replicas", {"f:spec": {"f:replicas": {}}}),
        ("/spec/absent", {}),
        ("/spec/containers/[name=app]/image", {"f:spec": {"f:containers": {CONTAINER: {"f:image": {}}}}}),
        (
            "/spec/containers/[name=app]",
            {"f:spec": {"f:containers": {CONTAINER: {".": {}, "f:image": {}, "f:name": {}}}}},
        ),
        ("/spec/containers/[name=side]/image", {}),
        ("/spec/selector/matchLabels", {}),
    ],
)
def test_what_lies_at_a_field_is_found(pointer: str, taken: Fields) -> None:
    assert fieldsets.take(APPLIED, parse(pointer)) == taken


@pytest.mark.parametrize(
    ("pointer", "above"),
    [
        ("/spec/selector/matchLabels", True),
        ("/spec/selector", False),
        ("/spec/replicas", False),
        ("/spec/absent/deeper", False),
        ("/spec/containers/[name=app]/image", False),
    ],
)
def test_a_field_within_what_is_kept_as_a_whole_is_known(pointer: str, *, above: bool) -> None:
    assert fieldsets.ends_above(APPLIED, parse(pointer)) is above


def test_fields_are_written_as_people_read_them() -> None:
    assert list(fieldsets.paths(APPLIED)) == [
        '.metadata.labels["agentk.io/agent"]',
        ".spec.replicas",
        ".spec.selector",
        ".spec.containers[name=app]",
        '.spec.finalizers["a"]',
    ]
