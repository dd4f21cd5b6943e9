"""What may be filled at all, and that the filled object is judged as its manifest was."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.bounds import Bounds
from agentk.apply.jsonpath import parse, put
from agentk.apply.names import steers
from agentk.apply.rules.filled import refuse_filled
from agentk.apply.rules.identity import changed, is_fixed
from agentk.apply.rules.own import OwnObjects, Selector
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

RBAC = "rbac.authorization.k8s.io"
BOUNDS = Bounds("7-9", own=OwnObjects(("agents", "agentk"), aggregated=(Selector((("to-agentk", "true"),)),)))


@pytest.mark.parametrize(
    "path",
    [
        "$",
        "$.apiVersion",
        "$['kind']",
        "$.status.x",
        "$.metadata",
        '$["metadata"]["labels"]',
        "$.metadata.annotations",
        "$.metadata.name",
        "$.metadata.namespace",
        "$.metadata.uid",
        "$.metadata.managedFields[0]",
        "$.metadata.labels['agentk.io/agent']",
        "$.metadata.labels['cli-utils.sigs.k8s.io/inventory-id']",
        "$.metadata.annotations['config.k8s.io/owning-inventory']",
        "$.metadata.annotations['config.kubernetes.io/depends-on']",
        "$.metadata.annotations['client.lifecycle.config.k8s.io/deletion']",
        "$.metadata.annotations['argocd.argoproj.io/sync-wave']",
        "$.metadata.annotations['agentk.io/drift'].x",
    ],
)
def test_what_an_object_is_known_and_steered_by_is_no_target(path: str) -> None:
    assert is_fixed(parse(path))


@pytest.mark.parametrize(
    "path",
    ["$.data.x", "$.data", "$.metadata.labels.app", "$.metadata.annotations['example.com/kind']", "$.spec.status"],
)
def test_everything_else_is(path: str) -> None:
    assert not is_fixed(parse(path))


def test_every_label_and_annotation_that_agentk_goes_by_is_known_as_such() -> None:
    from agentk.apply import names  # noqa: PLC0415 - all of it

    keys = [value for key, value in vars(names).items() if key.isupper() and "/" in str(value) and key[0] != "_"]
    assert len(keys) > 10
    assert all(map(steers, keys))


def manifest(**content: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    metadata = {"name": "x", "namespace": "team", "labels": {"agentk.io/agent": "7", "app": "a"}, "annotations": {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("$.data", {"a": 1}, ""),
        ("$.metadata.labels.app", "b", ""),
        ("$.metadata.labels", {"agentk.io/agent": "7"}, ""),
        ("$.metadata.labels", {"agentk.io/agent": "8"}, "metadata.labels"),
        ("$.metadata.labels", "text", "metadata.labels"),
        ("$.metadata.annotations", {"config.k8s.io/owning-inventory": "7-1"}, "metadata.annotations"),
        ("$.metadata.annotations", {"cli-utils.sigs.k8s.io/on-remove": "keep"}, "metadata.annotations"),
        ("$.metadata.name", "y", "metadata.name"),
        ("$.metadata.resourceVersion", "1", "metadata.resourceVersion"),
        ("$.metadata", "text", "metadata"),
        ("$.apiVersion", "v2", "apiVersion"),
        ("$.status", {}, "status"),
    ],
)
def test_filling_leaves_an_object_what_it_was(path: str, value: object, where: str) -> None:
    before = manifest(data={})
    after = deepcopy(before)
    put(after, path, value)
    assert changed(before, after).startswith(where)
    assert bool(changed(before, after)) is bool(where)
    refusal = refuse_filled(ObjectRef("", "ConfigMap", "team", "x"), before, after, BOUNDS)
    assert (refusal.reason if refusal else "") == ("InvalidMutation" if where else "")


GROUP = {"kind": "Group", "name": "system:serviceaccounts"}
GROUP = {"kind": "Group", "name": "system:serviceaccounts"}
BINDING = {"subjects": [{"kind": "Group", "name": "nobody"}]}
SCALER = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"}}}
DEFINITION = {
    "spec": {
        "group": "a.b",
        "scope": "Cluster",
        "names": {"kind": "A", "plural": "as"},
        "versions": [{"name": "v1", "served": True}],
    }
}


@pytest.mark.parametrize(
    ("kind", "content", "path", "value", "reason"),
    [
        ((RBAC, "RoleBinding"), BINDING, "$.subjects[0].name", "system:authenticated", "Protected"),
        ((RBAC, "RoleBinding"), BINDING, "$.subjects", [GROUP], "Protected"),
        ((RBAC, "RoleBinding"), BINDING, "$.subjects[0].name", "developers", ""),
        ((RBAC, "ClusterRole"), {}, "$.metadata.labels['to-agentk']", "true", "Protected"),
        (("autoscaling", "HorizontalPodAutoscaler"), SCALER, "$.spec.scaleTargetRef.name", "b", "InvalidMutation"),
        (("apiextensions.k8s.io", "CustomResourceDefinition"), DEFINITION, "$.spec.group", "c.d", "InvalidMutation"),
    ],
)
def test_the_rules_for_manifests_hold_for_what_is_filled(
    kind: tuple[str, str], content: Mapping[str, Any], path: str, value: object, reason: str
) -> None:
    before = manifest(**deepcopy(dict(content)))
    after = deepcopy(before)
    put(after, path, value)
    refusal = refuse_filled(ObjectRef(*kind, "team", "x"), before, after, BOUNDS)
    assert (refusal.reason if refusal else "") == reason
