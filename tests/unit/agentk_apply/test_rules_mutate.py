from __future__ import annotations

from typing import Any

import orjson
import pytest

from agentk.apply.jsonpath import PathError, get, parse, put
from agentk.apply.kinds import Kinds
from agentk.apply.model import Kind, Mutation
from agentk.apply.rules.depend import InvalidOrderError
from agentk.apply.rules.mutate import MutationError, read_mutations, substitute
from agentlink.refs import ObjectRef

OWN = ObjectRef("", "ConfigMap", "web", "own")
SOURCE = ObjectRef("", "Service", "web", "svc")
OBJECT: dict[str, Any] = {
    "spec": {
        "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}],
        "on": [{"meta": {"id": True}, "x": 1}],
    },
    "metadata": {"annotations": {"a.b/c": "dotted", "it's": 'q"'}},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", OBJECT),
        ("$.spec.ports[0].port", 80),
        ("$.spec.ports[-1].port", 443),
        ("$.spec.ports[(@.length - 1)].port", 443),
        ("$.spec.ports[?(@.name=='https')].port", 443),
        ('$.spec.ports[?(@.port == 80)]["name"]', "http"),
        ("$.spec.on[?(@.meta.id == true)].x", 1),
        ("$['metadata'].annotations['a.b/c']", "dotted"),
        ("$.metadata.annotations['it\\'s']", 'q"'),
    ],
)
def test_a_path_leads_to_one_value(path: str, value: object) -> None:
    assert get(OBJECT, path) == value


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spec.ports", "does not begin"),
        ("$.spec..ports", "cannot be read"),
        ("$.spec.*", "cannot be read"),
        ("$.spec.ports[*]", "cannot be read"),
        ("$.spec.ports[?(@.name =~ /.*/)]", "cannot be read"),
        ("$" + ".a" * 600, "more than"),
        ("$.spec.absent", "leads to no value"),
        ("$.spec.ports[7]", "leads to no value"),
        ("$.spec.ports.name", "leads to no value"),
        ("$.spec.ports[?(@.name == 'nope')]", "leads to 0 values"),
        ("$.spec.on[?(@.x == true)]", "leads to 0 values"),
    ],
)
def test_any_other_path_is_refused_without_a_value(path: str, says: str) -> None:
    with pytest.raises(PathError, match=says):
        get(OBJECT, path)


def test_an_element_that_is_not_the_only_one_is_not_guessed() -> None:
    with pytest.raises(PathError, match="leads to 2 values"):
        get({"l": [{"a": 1}, {"a": 1}]}, "$.l[?(@.a == 1)]")


def test_a_last_field_may_be_new_and_a_container_may_not() -> None:
    document = {"data": {}, "list": [1]}
    put(document, "$.data.new", "x")
    put(document, "$.list[0]", 2)
    assert document == {"data": {"new": "x"}, "list": [2]}
    for path in ("$.other.new", "$.list[1]", "$"):
        with pytest.raises(PathError):
            put(document, path, "x")
    assert parse("$") == ()


def entry(**changes: object) -> str:
    made: dict[str, object] = {
        "sourceRef": {"kind": "Service", "name": "svc"},
        "sourcePath": "$.spec.port",
        "targetPath": "$.data.url",
    }
    return orjson.dumps([made | changes]).decode()


class AllNamespaced(Kinds):
    def find(self, group: str, kind: str, version: str) -> Kind | None:
        return Kind(group, version or "v1", kind, kind.lower() + "s", namespaced=kind != "Node")

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset()


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (entry(), SOURCE),
        (entry(sourceRef={"apiVersion": "v1", "kind": "Service", "name": "svc", "namespace": "web"}), SOURCE),
        (
            entry(sourceRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "namespace": "x"}),
            ObjectRef("apps", "Deployment", "x", "d"),
        ),
        (
            entry(sourceRef={"group": "apps", "kind": "Deployment", "name": "d"}),
            ObjectRef("apps", "Deployment", "web", "d"),
        ),
        (entry(sourceRef={"kind": "Node", "name": "n"}), ObjectRef("", "Node", "", "n")),
    ],
)
def test_sources_are_found_as_cli_utils_finds_them(text: str, source: ObjectRef) -> None:
    assert read_mutations(text, OWN, AllNamespaced()) == (Mutation(source, "$.spec.port", "$.data.url"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no YAML list"),
        ("a: b", "no YAML list"),
        ("[", "no YAML"),
        ("- 1", "entry 1 needs"),
        (entry(sourcePath="spec"), "entry 1"),
        (entry(targetPath="$"), "may not be filled"),
        (entry(token=7), "must be texts"),
        (entry(sourceRef={"kind": "ConfigMap", "name": "own"}), "the object itself"),
        (f"[{','.join([entry()[1:-1]] * 51)}]", "more than"),
        ("x" * 70_000, "more than"),
    ],
)
def test_an_annotation_that_cannot_be_followed_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidOrderError, match=says) as caught:
        read_mutations(text, OWN)
    assert caught.value.reason == "InvalidMutation"


def fill(data: object, *mutations: Mutation, value: object = 8080) -> Any:  # noqa: ANN401 - JSON
    return substitute({"data": data}, mutations, {SOURCE: {"spec": {"port": value}}})["data"]


def test_a_token_is_replaced_wherever_it_stands_and_without_one_the_whole_value_is() -> None:
    whole = Mutation(SOURCE, "$.spec.port", "$.data.port")
    token = Mutation(SOURCE, "$.spec.port", "$.data.url", "${p}")
    assert fill({"port": 1, "url": "a:${p}/b:${p}"}, whole, token) == {"port": 8080, "url": "a:8080/b:8080"}
    assert fill({"url": "x-${p}"}, token, value="text") == {"url": "x-text"}
    assert fill({"url": "x-${p}"}, token, value={"b": 1, "a": [2]}) == {"url": 'x-{"a":[2],"b":1}'}
    assert fill({"port": 1}, whole, value={"a": 1}) == {"port": {"a": 1}}


@pytest.mark.parametrize(
    ("mutation", "says"),
    [
        (Mutation(SOURCE, "$.spec.absent", "$.data.url"), r"source web/service/svc: '\$.spec.absent'"),
        (Mutation(SOURCE, "$.spec.port", "$.other.url"), r"target of web/service/svc .*'\$.other.url'"),
        (Mutation(SOURCE, "$.spec.port", "$.data.url", "${q}"), "does not hold the token"),
        (Mutation(SOURCE, "$.spec.port", "$.data", "${q}"), "leads to no text"),
    ],
)
def test_a_failure_names_source_and_path_and_never_a_value(mutation: Mutation, says: str) -> None:
    with pytest.raises(MutationError, match=says) as caught:
        fill({"url": "hidden-target"}, mutation, value="hidden-source")
    assert "hidden" not in str(caught.value)


def test_an_object_does_not_grow_without_bounds() -> None:
    with pytest.raises(MutationError, match="more than 2097152 bytes would be filled in"):
        fill({"url": "t" * 3000}, Mutation(SOURCE, "$.spec.port", "$.data.url", "t"), value="v" * 1000)
