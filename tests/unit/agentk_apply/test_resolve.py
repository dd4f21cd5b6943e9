from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from agentk.apply.model import Kind, ProjectSettings, Result, Snapshot
from agentk.apply.resolve import Resolved, resolve
from agentk.apply.rules.own import OwnObjects
from agentlink.refs import ObjectRef

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
Manifest = dict[str, object]
SETTINGS = ProjectSettings(1, "group/project", "7-1", default_namespace="web")


class Served:
    """What a cluster serves, as discovery would say."""

    def __init__(self, *kinds: Kind) -> None:
        self.served = kinds

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        named = [one for one in self.served if (one.group, one.kind) == (group, kind)]
        return next((one for one in named if one.version == version), named[0] if named else None)

    def verbs(self, kind: Kind) -> frozenset[str]:
        return frozenset({"create"}) if kind.kind.endswith("Review") else frozenset()


KINDS = Served(CONFIG_MAP, NAMESPACE, DEPLOYMENT, CRD)


def snapshot(**files: list[Manifest]) -> Snapshot:
    return Snapshot(
        1, "c0ffee", "sync", b"", {path: tuple(orjson.dumps(one) for one in objects) for path, objects in files.items()}
    )


def config_map(name: str = "settings", **metadata: object) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "b"}}


def crd() -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": True}, {"name": "v1alpha1", "served": False}],
        },
    }


def sent(resolved: Resolved) -> Any:  # noqa: ANN401 - JSON
    """Return what is sent for the only object."""
    (desired,) = resolved.desired
    return orjson.loads(resolved.body_of(desired))


def test_an_object_gets_its_namespace_our_label_and_our_annotation() -> None:
    resolved = resolve(snapshot(a=[config_map()]), SETTINGS, KINDS, 7)
    (desired,) = resolved.desired
    assert desired.ref == ObjectRef("", "ConfigMap", "web", "settings")
    assert desired.path == "a"
    assert sent(resolved) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "namespace": "web",
            "labels": {"agentk.io/agent": "7"},
            "annotations": {"config.k8s.io/owning-inventory": "7-1"},
        },
        "data": {"a": "b"},
    }


def test_labels_and_annotations_of_the_manifest_stay() -> None:
    manifest = config_map(labels={"app": "x"}, annotations={"note": "y"}, namespace="other")
    resolved = resolve(snapshot(a=[manifest]), SETTINGS, KINDS, 7)
    metadata = sent(resolved)["metadata"]
    assert metadata["labels"] == {"app": "x", "agentk.io/agent": "7"}
    assert metadata["annotations"] == {"note": "y", "config.k8s.io/owning-inventory": "7-1"}
    assert resolved.desired[0].ref.namespace == "other"


@pytest.mark.parametrize("nothing", [None, {}])
def test_labels_and_annotations_that_are_null_are_as_good_as_none(nothing: object) -> None:
    resolved = resolve(snapshot(a=[config_map(labels=nothing, annotations=nothing)]), SETTINGS, KINDS, 7)
    assert sent(resolved)["metadata"]["labels"] == {"agentk.io/agent": "7"}


def test_a_cluster_scoped_object_loses_its_namespace() -> None:
    manifest: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "namespace": "oops"}}
    resolved = resolve(snapshot(a=[manifest]), SETTINGS, KINDS, 7)
    assert resolved.desired[0].ref == ObjectRef("", "Namespace", "", "web")
    assert "namespace" not in sent(resolved)["metadata"]


def test_what_only_a_server_may_write_is_taken_out() -> None:
    exported = config_map(
        uid="u", resourceVersion="1", generation=2, creationTimestamp=None, selfLink="/x", managedFields=[{}]
    )
    exported["status"] = {"phase": "Active"}
    assert (
        resolve(snapshot(a=[exported]), SETTINGS, KINDS, 7).desired
        == resolve(snapshot(a=[config_map()]), SETTINGS, KINDS, 7).desired
    )


def test_the_digest_is_of_the_content_alone() -> None:
    (one,) = resolve(snapshot(a=[config_map()]), SETTINGS, KINDS, 7).desired
    (moved,) = resolve(snapshot(b=[dict(reversed(config_map().items()))]), SETTINGS, KINDS, 7).desired
    (other,) = resolve(snapshot(a=[config_map() | {"data": {"a": "c"}}]), SETTINGS, KINDS, 7).desired
    assert one.digest == moved.digest != other.digest
    assert len(one.digest) == 8


def test_neither_a_snapshot_nor_a_result_shows_contents_in_its_repr() -> None:
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "s"},
        "data": {"password": "hunter2"},
    }
    taken = snapshot(a=[secret])
    resolved = resolve(taken, SETTINGS, KINDS, 7)
    assert "hunter2" not in repr(taken) + repr(resolved)


def test_kinds_of_a_crd_in_the_same_snapshot_are_known_wherever_the_crd_stands() -> None:
    widget: Manifest = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    resolved = resolve(snapshot(a=[widget], b=[crd()]), SETTINGS, KINDS, 7)
    kind = Kind("example.com", "v1", "Widget", "widgets", namespaced=True)
    assert not resolved.refused
    assert [(one.kind, one.ref.namespace) for one in resolved.desired] == [(kind, "web"), (CRD, "")]
    assert resolved.desired[1].defines == (kind,)


@pytest.mark.parametrize(
    ("api_version", "says"),
    [
        ("example.com/v1", "does not serve example.com/v1 Widget"),
        ("apps/v1beta1", "does not serve Deployment in apps/v1beta1; it serves apps/v1"),
    ],
)
def test_an_unknown_kind_fails_alone_and_is_named(api_version: str, says: str) -> None:
    name = "Widget" if "example" in api_version else "Deployment"
    unknown: Manifest = {"apiVersion": api_version, "kind": name, "metadata": {"name": "w"}}
    resolved = resolve(snapshot(a=[unknown, config_map()]), SETTINGS, KINDS, 7)
    (refused,) = resolved.refused
    assert (refused.result, refused.reason, refused.path) == (Result.FAILED, "UnknownKind", "a")
    assert says in refused.message
    assert [one.ref.name for one in resolved.desired] == ["settings"]
    assert not resolved.empty


def test_a_version_that_a_crd_does_not_serve_is_unknown() -> None:
    widget: Manifest = {"apiVersion": "example.com/v1alpha1", "kind": "Widget", "metadata": {"name": "w"}}
    resolved = resolve(snapshot(a=[crd(), widget]), SETTINGS, KINDS, 7)
    assert [one.reason for one in resolved.refused] == ["UnknownKind"]


@pytest.mark.parametrize(
    "other",
    [
        config_map(namespace="web"),
        config_map(labels={"a": "b"}),
    ],
)
def test_the_same_object_twice_blocks_the_whole_revision_and_names_both_files(other: Manifest) -> None:
    resolved = resolve(snapshot(**{"a.yaml": [config_map()], "b.yaml": [other]}), SETTINGS, KINDS, 7)
    assert resolved.blocked is not None
    assert resolved.blocked.reason == "DuplicateObject"
    assert "a.yaml" in resolved.blocked.message
    assert "b.yaml" in resolved.blocked.message


def test_one_object_under_two_api_versions_is_one_object() -> None:
    kinds = Served(DEPLOYMENT, Kind("apps", "v1beta1", "Deployment", "deployments", namespaced=True))
    both: list[Manifest] = [
        {"apiVersion": version, "kind": "Deployment", "metadata": {"name": "x"}}
        for version in ("apps/v1", "apps/v1beta1")
    ]
    assert resolve(snapshot(a=both), SETTINGS, kinds, 7).blocked is not None


def test_an_inventory_in_the_manifests_is_refused() -> None:
    manifest = config_map(labels={"cli-utils.sigs.k8s.io/inventory-id": "7-1"})
    (refused,) = resolve(snapshot(a=[manifest]), SETTINGS, KINDS, 7).refused
    assert refused.reason == "InventoryRefused"


def test_a_configmap_with_the_name_of_an_inventory_is_refused_without_its_label_too() -> None:
    manifest = config_map(f"inventory-{SETTINGS.inventory_id}.2")
    (refused,) = resolve(snapshot(a=[manifest]), SETTINGS, KINDS, 7).refused
    assert refused.reason == "InventoryRefused"


@pytest.mark.parametrize(
    "manifest",
    [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": None},
        {"apiVersion": "v1", "kind": 3, "metadata": {"name": "x"}},
        {"kind": "ConfigMap", "metadata": {"name": "x"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 8}},
        config_map(labels=["x"]),
        config_map(annotations="x"),
    ],
)
def test_a_manifest_that_names_no_object_fails_alone(manifest: Manifest) -> None:
    resolved = resolve(snapshot(a=[manifest, config_map("good")]), SETTINGS, KINDS, 7)
    assert [one.reason for one in resolved.refused] == ["InvalidManifest"]
    assert [one.ref.name for one in resolved.desired] == ["good"]


def test_what_did_not_change_is_taken_over_from_the_result_before() -> None:
    first = resolve(snapshot(a=[config_map("one")], b=[config_map("two")]), SETTINGS, KINDS, 7)
    changed = snapshot(a=[config_map("one")], b=[config_map("two") | {"data": {}}])
    second = resolve(changed, SETTINGS, KINDS, 7, first)
    assert second.desired[0] is first.desired[0]
    assert second == resolve(changed, SETTINGS, KINDS, 7)


def test_an_object_that_moved_to_another_file_is_reported_with_the_new_one() -> None:
    first = resolve(snapshot(a=[config_map()]), SETTINGS, KINDS, 7)
    assert resolve(snapshot(b=[config_map()]), SETTINGS, KINDS, 7, first).desired[0].path == "b"


@pytest.mark.parametrize(
    ("settings", "agent", "kinds"),
    [
        (ProjectSettings(1, "p", "7-1", default_namespace="other"), 7, KINDS),
        (ProjectSettings(1, "p", "8-1", default_namespace="web"), 7, KINDS),
        (SETTINGS, 8, KINDS),
        (SETTINGS, 7, Served(Kind("", "v1", "ConfigMap", "configmaps", namespaced=False))),
        (SETTINGS, 7, Served()),
    ],
)
def test_nothing_is_taken_over_where_what_it_depends_on_changed(
    settings: ProjectSettings, agent: int, kinds: Served
) -> None:
    taken = snapshot(a=[config_map()])
    first = resolve(taken, SETTINGS, KINDS, 7)
    assert resolve(taken, settings, kinds, agent, first) == resolve(taken, settings, kinds, agent)


def test_an_empty_snapshot_is_recognised() -> None:
    assert resolve(snapshot(), SETTINGS, KINDS, 7).empty


REVIEW = Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", namespaced=True)


def test_what_a_project_may_not_have_is_refused_and_the_rest_goes_on() -> None:
    own = OwnObjects(("web", "gitlab-agent"), frozenset({ObjectRef("", "Secret", "web", "token")}))
    secret = Kind("", "v1", "Secret", "secrets", namespaced=True)
    manifests: list[Manifest] = [
        {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {"name": "review"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "more"},
            "subjects": [{"kind": "ServiceAccount", "name": "gitlab-agent"}],
        },
        config_map(),
    ]
    resolved = resolve(snapshot(a=manifests), SETTINGS, Served(REVIEW, secret, BINDING, CONFIG_MAP), 7, own=own)
    assert [(one.ref.name, one.reason) for one in resolved.refused] == [
        ("review", "KindNotAppliable"),
        ("token", "Protected"),
        ("more", "Protected"),
    ]
    assert [one.ref.name for one in resolved.desired] == ["settings"]


def test_a_project_that_is_confined_anew_takes_nothing_over_from_before() -> None:
    taken = snapshot(a=[config_map(namespace="team"), config_map(namespace="web")])
    before = resolve(taken, SETTINGS, KINDS, 7)
    confined = resolve(taken, replace(SETTINGS, allowed_namespaces=("team",)), KINDS, 7, before)
    assert [one.ref.namespace for one in confined.desired] == ["team"]
    assert [one.reason for one in confined.refused] == ["OutsideAllowedNamespaces"]
