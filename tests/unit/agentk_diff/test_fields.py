"""What differs between an object as it is and as it would be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.diff.fields import LONGEST_VALUE, MOST_FIELDS, FieldChange, changes


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def deployment(*containers: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": list(containers)}}},
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (config_map(a="1"), config_map(a="1"), []),
        ({"spec": {"on": True}}, {"spec": {"on": 1}}, [("/spec/on", "true", "1")]),
        (config_map(a="1"), config_map(a="2"), [("/data/a", '"1"', '"2"')]),
        (config_map(a="1"), config_map(a="1", b="2"), [("/data/b", "", '"2"')]),
        (config_map(a="1", b="2"), config_map(a="1"), [("/data/b", '"2"', "")]),
        (config_map(**{"a/b~c": "1"}), config_map(**{"a/b~c": "2"}), [("/data/a~1b~0c", '"1"', '"2"')]),
        (
            deployment({"name": "web", "image": "web:1"}, {"name": "log", "image": "log:1"}),
            deployment({"name": "new", "image": "new:1"}, {"name": "web", "image": "web:2"}),
            [
                ("/spec/template/spec/containers/0", "", '{"image":"new:1","name":"new"}'),
                ("/spec/template/spec/containers/1/image", '"web:1"', '"web:2"'),
                ("/spec/template/spec/containers/1", '{"image":"log:1","name":"log"}', ""),
            ],
        ),
        (
            deployment({"name": "web", "args": ["a", "b"]}),
            deployment({"name": "web", "args": ["b"]}),
            [("/spec/template/spec/containers/0/args", '["a","b"]', '["b"]')],
        ),
        (
            deployment({"name": "web"}, {"name": "web", "image": "twice"}),
            deployment({"name": "web"}),
            [("/spec/template/spec/containers", '[{"name":"web"},{"image":"twice","name":"web"}]', '[{"name":"web"}]')],
        ),
    ],
)
def test_each_field_that_differs_is_told_with_both_values(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert [(one.path, one.before, one.after) for one in changes(before, after)] == expected


def test_what_the_server_keeps_is_no_difference() -> None:
    live = config_map(a="1")
    live["metadata"] |= {"uid": "1", "resourceVersion": "7", "managedFields": [{}], "creationTimestamp": "then"}
    live["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    after = config_map(a="1") | {"status": {"x": 1}}
    after["metadata"]["annotations"] = {}
    assert changes(live, after) == ()


def test_a_new_object_is_told_whole() -> None:
    (change,) = changes(None, config_map(a="1") | {"status": {}})
    assert (change.path, change.before) == ("", "")
    assert orjson.loads(change.after) == config_map(a="1")


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_values_of_a_secret_are_never_told_and_still_seen_to_differ(field: str) -> None:
    def secret(**values: object) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: values}

    found = changes(secret(same="hush", changed="hush", gone="hush"), secret(same="hush", changed="hush2", new="hush"))
    assert "hush" not in repr(found)
    assert found == (
        FieldChange(f"/{field}/changed", '"*** (before)"', '"*** (after)"'),
        FieldChange(f"/{field}/gone", '"***"', ""),
        FieldChange(f"/{field}/new", "", '"***"'),
    )
    assert "hush" not in repr(changes(None, secret(a="hush", b=["hush"])))


def test_kubectls_copy_of_a_secret_is_not_told_either() -> None:
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": "hush"}
    live["metadata"] = {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hush"}}
    assert "hush" not in repr(changes(live, {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "x"}}))


def test_a_huge_difference_is_cut_and_says_so() -> None:
    found = changes(config_map(), config_map(**{f"k{number}": "v" for number in range(MOST_FIELDS + 10)}))
    assert len(found) == MOST_FIELDS + 1
    assert "left out" in found[-1].after
    (long,) = changes(config_map(a=""), config_map(a="x" * 100_000))
    assert len(long.after) < LONGEST_VALUE + 100
    assert orjson.loads(long.after).endswith("(100002 characters)")


def test_values_that_differ_only_beyond_the_cut_differ() -> None:
    assert changes(config_map(a="x" * 100_000 + "1"), config_map(a="x" * 100_000 + "2"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["spec", "data"]), json_values),
    st.dictionaries(st.sampled_from(["spec", "data"]), json_values),
)
def test_there_is_a_difference_exactly_where_the_objects_are_not_equal(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    def normal(value: dict[str, Any]) -> bytes:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)

    assert bool(changes(before, after)) == (normal(before) != normal(after))
