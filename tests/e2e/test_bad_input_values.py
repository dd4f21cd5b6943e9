"""Odd but lawful manifests reach the cluster with the values that kubectl reads; what has no meaning is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_files, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

NAMES = ("odd", "generated", "scalars", "neighbour")

MANY = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: in-list}
  data: {value: '1'}
- apiVersion: v1
  kind: ConfigMapList
  items:
  - metadata: {name: in-inner-list}
    data: {value: '2'}
---
# only a comment
---
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "in-flow"}, "data": {"value": "3"}}
"""

CUSTOM = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scalars.test.agentk.example}
spec:
  group: test.agentk.example
  names: {kind: Scalar, listKind: ScalarList, plural: scalars, singular: scalar}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

SCALARS = """\
apiVersion: test.agentk.example/v1
kind: Scalar
metadata: {name: scalars}
spec:
  no: no
  word: yes
  switch: on
  octal: 0777
  new-octal: 0o17
  not-octal: 08
  hexadecimal: 0x1F
  exponent: 1e3
  time: 12:30
  date: 2026-11-21
  version: 1.10
  quoted: "no"
  empty:
  letter: y
  twice: first
  twice: second
"""
"""What each becomes is what ``kubectl apply`` 1.36 makes of it (see tests/unit/agentlink/cases/yaml-cases.json)."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("values"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def projects(shared: Installation, kube: Kube, namespace: str) -> dict[str, Driven]:
    """One agent, and for every test a manifest project of its own."""
    return drive(shared, kube, namespace, agent="main", projects=tuple(f"group/{name}" for name in NAMES))


def test_encodings_line_ends_lists_and_comments_are_read_as_kubectl_reads_them(projects: dict[str, Driven]) -> None:
    project = projects["odd"]
    block = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: crlf}\ndata:\n  value: |\n    one\n    two\n"
    commit = project.push(
        {
            "manifests/bom.yaml": b"\xef\xbb\xbf" + config_map("bom", "ö").encode(),
            "manifests/utf16.yaml": config_map("utf16", "ö").encode("utf-16"),
            "manifests/crlf.yaml": block.replace("\n", "\r\n"),
            "manifests/many.yaml": MANY,
        }
    )
    project.wait("healthy", commit=commit)

    names = ("bom", "utf16", "crlf", "in-list", "in-inner-list", "in-flow")
    assert [project.value(name) for name in names] == ["ö", "ö", "one\ntwo\n", "1", "2", "3"]


def test_a_name_in_capitals_is_left_out_by_a_glob_in_small_letters(projects: dict[str, Driven]) -> None:
    project = projects["odd"]
    commit = project.push({"manifests/loud.YAML": config_map("loud"), "manifests/quiet.yaml": config_map("quiet")})
    project.wait("healthy", commit=commit)
    assert (project.value("loud"), project.value("quiet")) == (None, "1")


def test_a_file_name_that_is_no_text_is_synced_like_any_other(projects: dict[str, Driven]) -> None:
    project = projects["odd"]
    name = os.fsdecode(b"manifests/caf\xe9-\xff.yaml")
    commit = project.push({name: config_map("latin")})
    project.wait("healthy", commit=commit)
    assert project.value("latin") == "1"

    commit = project.push({name: config_map("latin", "2")})
    project.wait("healthy", commit=commit)
    assert project.value("latin") == "2"

    bad = project.push({name: "{"})
    sync = project.wait("failed", commit=bad, reason="InvalidYAML")
    assert r"manifests/caf\xe9-\xff.yaml" in sync["message"]

    commit = project.remove(name)
    project.wait("healthy", commit=commit)
    assert project.value("latin") is None


@pytest.mark.parametrize(
    ("content", "where", "cause"),
    [
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: made-\n",
            "manifests/made.yaml:4",
            "give it a metadata.name",
        ),
        (
            f"{config_map('first')}---\n{config_map('switched').replace('  name: switched', '  name: on')}",
            "manifests/made.yaml:11",
            "metadata.name must be a string; quote it",
        ),
        (
            config_map("labelled").replace("metadata:\n", "metadata:\n  labels: {enabled: no}\n"),
            "manifests/made.yaml:4",
            "each value of metadata.labels must be a string; quote it",
        ),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nul}\ndata: {value: a\0b}\n", "manifests/made.yaml:", ""),
        ("just text\n", "manifests/made.yaml:1", "not a Kubernetes object"),
    ],
    ids=["generateName", "a boolean name", "a boolean label", "NUL", "no object"],
)
def test_what_has_no_meaning_is_refused_with_file_line_and_remedy(
    projects: dict[str, Driven], content: str, where: str, cause: str
) -> None:
    project = projects["generated"]
    bad = project.push({"manifests/made.yaml": content, "manifests/generated.yaml": config_map("generated", "2")})
    sync = project.wait("failed", commit=bad)

    assert sync["reason"] in {"InvalidManifest", "InvalidYAML"}
    assert where in sync["message"]
    assert cause in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("generated") == "1"


def test_scalars_reach_the_cluster_with_the_values_that_kubectl_reads(projects: dict[str, Driven]) -> None:
    project = projects["scalars"]
    commit = project.push({"manifests/crd.yaml": CUSTOM, "manifests/scalars.yaml": SCALARS})
    project.wait("healthy", commit=commit)

    path = f"/apis/test.agentk.example/v1/namespaces/{project.namespace}/scalars/scalars"
    assert project.kube.get(path)["spec"] == {
        "false": False,
        "word": True,
        "switch": True,
        "octal": 0o777,
        "new-octal": 0o17,
        "not-octal": 8,
        "hexadecimal": 31,
        "exponent": 1000,
        "time": "12:30",
        "date": "2026-11-21",
        "version": 1.1,
        "quoted": "no",
        "empty": None,
        "letter": True,
        "twice": "second",
    }


def test_a_configuration_with_a_byte_order_mark_and_windows_line_ends_is_read(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    driven = Driven(shared.kas, "windows", "own/windows", shared.git.create("own/windows"), kube, namespace)
    ((path, text),) = config_files("windows", namespace).items()
    commit = driven.push(
        {
            path: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
            "manifests/windows.yaml": config_map("windows"),
        }
    )
    shared.agent("windows", project="own/windows")
    driven.wait("healthy", commit=commit)
    assert driven.value("windows") == "1"
