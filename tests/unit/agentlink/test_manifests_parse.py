"""From a file to objects, and what is said about files that declare none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentlink.manifests.model import Limits, ManifestError, ManifestObject, printable_path
from agentlink.manifests.parse import parse_file
from agentlink.refs import ObjectRef

LIMITS = Limits()
MANIFESTS = Path(__file__).parents[4] / "shared" / "manifests"


def objects(text: str) -> tuple[ManifestObject, ...]:
    return parse_file("a/b.yaml", "blob", text.encode(), LIMITS).objects


def refusal(text: str, path: str = "a/b.yaml") -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse_file(path, "blob", text.encode(), LIMITS)
    return caught.value


def test_objects_come_in_order_with_sorted_keys_and_their_lines() -> None:
    file = parse_file(
        "a/b.yaml",
        "blob",
        b"# first\nkind: Deployment\napiVersion: apps/v1\nmetadata: {namespace: x, name: web}\nspec: {replicas: 2}\n"
        b"---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n",
        LIMITS,
    )
    assert (file.path, file.blob_id) == ("a/b.yaml", "blob")
    assert [(manifest.ref, manifest.line) for manifest in file.objects] == [
        (ObjectRef("apps", "Deployment", "x", "web"), 2),
        (ObjectRef("", "Namespace", "", "x"), 9),
    ]
    assert file.objects[0].json == (
        b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"x"},"spec":{"replicas":2}}'
    )


def test_lists_are_taken_apart_and_each_item_has_its_own_line() -> None:
    found = objects(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n"
        "- kind: ConfigMapList\n  apiVersion: v1\n  items:\n  - metadata: {name: b}\n"
        "  - {apiVersion: v1, kind: Secret, metadata: {name: c}}\n"
    )
    assert [(str(manifest.ref), manifest.line) for manifest in found] == [
        ("service/a", 4),
        ("configmap/b", 10),
        ("secret/c", 11),
    ]
    assert json.loads(found[1].json) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}


def test_an_empty_list_declares_nothing() -> None:
    assert objects("apiVersion: v1\nkind: List\nitems: []\n") == ()


def test_a_kind_that_only_ends_in_list_is_an_object() -> None:
    (found,) = objects("apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {items: [1]}\n")
    assert found.ref == ObjectRef("x.io", "AllowList", "", "a")


def test_json_is_read_like_yaml() -> None:
    (found,) = objects('{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"n": "1"}}')
    assert found.json == b'{"apiVersion":"v1","data":{"n":"1"},"kind":"ConfigMap","metadata":{"name":"a"}}'


def test_numbers_beyond_64_bits_reach_the_json() -> None:
    (found,) = objects(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"
        "spec: {a: 18446744073709551616, b: 18446744073709551615, c: 1e21, d: é}\n"
    )
    assert b'"spec":{"a":18446744073709552000,"b":18446744073709551615,"c":1e+21,"d":"\xc3\xa9"}' in found.json


HEAD = "apiVersion: v1\nkind: ConfigMap\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\n", 1, "apiVersion is missing"),
        ("# c\napiVersion: v1\n", 2, "kind is missing"),
        ("apiVersion: 1\nkind: A\n", 1, "apiVersion must be a string"),
        ("apiVersion: a/b/c\nkind: A\n", 1, "apiVersion is not of the form"),
        ("apiVersion: ../v1\nkind: A\n", 1, "apiVersion is not of the form"),
        ("apiVersion: v1\nkind: ../A\n", 2, "kind may hold only"),
        ("apiVersion: v1\n\nkind: [A]\n", 3, "kind must be a string"),
        (HEAD, 1, "metadata is missing"),
        (HEAD + "metadata: x\n", 3, "metadata is missing or is not a mapping"),
        (HEAD + "metadata: {}\n", 3, "metadata.name is missing"),
        (HEAD + "metadata:\n  labels: {}\n  name: 1\n", 5, "metadata.name must be a string"),
        (HEAD + "metadata:\n  name: no\n", 4, "metadata.name must be a string"),
        (HEAD + "metadata:\n  name: a/b\n", 4, "metadata.name must have"),
        (HEAD + "metadata:\n  name: ..\n", 4, "metadata.name must have"),
        (HEAD + 'metadata:\n  name: "a\\e[31m"\n', 4, "metadata.name must have"),
        (HEAD + "metadata:\n  generateName: a-\n", 4, "generateName"),
        (HEAD + "metadata:\n  name: a\n  namespace: 1\n", 5, "metadata.namespace must be a string"),
        (HEAD + "metadata:\n  name: a\n  namespace: A_B\n", 5, "metadata.namespace must be a string"),
        (HEAD + "metadata:\n  name: a\n  labels:\n    a: b\n    c: yes\n", 7, "metadata.labels must be a string"),
        (HEAD + "metadata:\n  name: a\n  annotations: []\n", 5, "metadata.annotations must be a mapping"),
        (HEAD + "metadata: {name: a}\n---\n- 1\n", 5, "not a Kubernetes object"),
        (HEAD + "metadata: {name: a}\n---\nplain text\n", 5, "not a Kubernetes object"),
        ("apiVersion: v1\nkind: List\n", 1, "a List without"),
        ("apiVersion: v1\nkind: List\nitems:\n- 1\n", 4, "an item of a list that is not an object"),
        ("apiVersion: v1\nkind: List\nitems:\n- {metadata: {name: a}}\n", 4, "kind is missing"),
        ("apiVersion: v1\nkind: PodList\nitems:\n- metadata:\n    name: 1\n", 5, "metadata.name must be a string"),
        (HEAD + "metadata: {name: a}\ndata: *x\n", 4, "an alias"),
    ],
)
def test_what_is_no_object_is_refused_with_file_and_line(text: str, line: int, says: str) -> None:
    error = refusal(text)
    assert error.reason in {"InvalidManifest", "InvalidYAML"}
    assert (error.path, error.line) == ("a/b.yaml", line)
    assert says in error.message
    assert str(error).startswith(f"a/b.yaml:{line}: ")


@pytest.mark.parametrize(
    "where", ["metadata: {name: [s3cret]}", "metadata: {name: a, labels: {a: [s3cret]}}", "kind: s3/cret"]
)
def test_a_refusal_never_quotes_a_value(where: str) -> None:
    error = refusal("apiVersion: v1\nkind: Secret\n" + where)
    assert "s3cret" not in str(error)
    assert "s3/cret" not in str(error)


def test_a_null_label_or_namespace_is_as_good_as_none() -> None:
    (found,) = objects(HEAD + "metadata: {name: a, namespace: , labels: , annotations: {b: }}\n")
    assert found.ref.namespace == ""


def test_half_a_character_in_json_is_refused() -> None:
    error = refusal('{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "x": "\\ud800"}')
    assert error.reason == "InvalidManifest"


def test_a_file_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_file("a.yaml", "blob", b"[" * 11, Limits(file_bytes=10))
    assert caught.value.reason == "FileTooLarge"


def test_a_path_that_is_no_text_is_shown_as_text() -> None:
    error = refusal("a: 1", path="a\x1b[31m\udcff.yaml")
    assert str(error).startswith(r"a\x1b[31m\xff.yaml:1: ")
    assert len({printable_path(path) for path in ("a\udcff", r"a\xff", "a\xff", "a\\\\xff")}) == 4


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the shared manifests of real projects are not beside this clone")
@pytest.mark.parametrize(("project", "count"), [("online-boutique", 35), ("kube-prometheus", 131)])
def test_real_manifests_are_read_whole(project: str, count: int) -> None:
    files = [
        parse_file(path.name, "blob", path.read_bytes(), LIMITS)
        for path in sorted((MANIFESTS / project).rglob("*.yaml"))
    ]
    found = [manifest for file in files for manifest in file.objects]
    assert len(found) == count
    assert all(json.loads(manifest.json)["metadata"]["name"] == manifest.ref.name for manifest in found)
