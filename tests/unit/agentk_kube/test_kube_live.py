from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.model import Kind
from agentk.kube.live import live_of
from agentlink.refs import ObjectRef

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)


def fingerprint_of(managed_fields: object) -> str | None:
    return live_of(DEPLOYMENT, {"name": "web", "managedFields": managed_fields}).fingerprint


def entry(manager: str = "agentk", operation: str = "Apply", **more: object) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "time": "2026-11-21T10:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}},
        **more,
    }


def test_the_time_and_the_order_of_fields_leave_the_fingerprint_as_it_is() -> None:
    later = entry(time="2027-01-01T00:00:00Z", fieldsV1={"f:spec": {"f:paused": {}, "f:replicas": {}}})
    first = fingerprint_of([entry()])
    assert first is not None
    assert len(first) == 16
    assert fingerprint_of([later]) == first


@pytest.mark.parametrize(
    "changed",
    [entry(fieldsV1={"f:spec": {"f:replicas": {}}}), entry(apiVersion="apps/v1beta1")],
    ids=["field", "version"],
)
def test_another_field_or_version_is_another_fingerprint(changed: dict[str, Any]) -> None:
    assert fingerprint_of([changed]) != fingerprint_of([entry()])


@pytest.mark.parametrize(
    "other",
    [
        entry("kubectl"),
        entry("kubectl", "Update"),
        entry("agentk", "Update"),
        entry("agentk", subresource="status"),
    ],
)
def test_what_others_own_does_not_count(other: dict[str, Any]) -> None:
    assert fingerprint_of([other, entry()]) == fingerprint_of([entry()])
    assert fingerprint_of([other]) is None


@pytest.mark.parametrize("nothing", [None, [], "", [None], {}])
def test_an_object_without_our_fields_has_no_fingerprint(nothing: object) -> None:
    assert fingerprint_of(nothing) is None


def test_metadata_tells_who_owns_an_object_and_what_may_be_done_with_it() -> None:
    live = live_of(
        DEPLOYMENT,
        {
            "name": "web",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "77",
            "deletionTimestamp": "2026-11-21T10:00:00Z",
            "labels": {"agentk.io/agent": "7"},
            "annotations": {
                "config.k8s.io/owning-inventory": "7-9",
                "client.lifecycle.config.k8s.io/mutation": "ignore",
            },
            "managedFields": [entry(), entry("kustomize-controller"), entry("hpa", subresource="scale")],
        },
    )
    assert live.ref == ObjectRef("apps", "Deployment", "shop", "web")
    assert (live.uid, live.resource_version, live.owner) == ("u-1", "77", "7-9")
    assert live.labelled
    assert live.deleting
    assert live.ignore_mutation
    assert not live.keep_on_remove
    assert live.appliers == {"kustomize-controller"}


@pytest.mark.parametrize(
    ("annotation", "value", "keep"),
    [
        ("client.lifecycle.config.k8s.io/deletion", "detach", True),
        ("cli-utils.sigs.k8s.io/on-remove", "keep", True),
        ("client.lifecycle.config.k8s.io/deletion", "delete", False),
        ("cli-utils.sigs.k8s.io/on-remove", "", False),
    ],
)
def test_either_spelling_keeps_an_object_that_leaves_git(annotation: str, value: str, *, keep: bool) -> None:
    assert live_of(DEPLOYMENT, {"name": "a", "annotations": {annotation: value}}).keep_on_remove is keep


def test_bare_metadata_of_a_cluster_scoped_object_is_enough() -> None:
    live = live_of(Kind("", "v1", "Namespace", "namespaces", namespaced=False), {"name": "shop", "labels": None})
    assert live.ref == ObjectRef("", "Namespace", "", "shop")
    assert live.owner is None
    assert not live.labelled
    assert live.fingerprint is None


FILLED = '[{"sourceRef":{"kind":"%s","name":"s"},"sourcePath":"$.data.a","targetPath":"$.data.b"}]'


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (None, False),
        ({"config.kubernetes.io/apply-time-mutation": FILLED % "ConfigMap"}, False),
        ({"config.kubernetes.io/apply-time-mutation": FILLED % "Secret"}, True),
        ({"config.kubernetes.io/apply-time-mutation": "which nobody can read"}, True),
        ({"agentk.io/from-secrets": "true"}, True),
        ({"agentk.io/from-secrets": "false"}, True),
    ],
)
def test_an_object_that_was_filled_from_a_secret_is_known(annotations: dict[str, str] | None, expected: bool) -> None:  # noqa: FBT001 - a case
    assert live_of(DEPLOYMENT, {"name": "web", "annotations": annotations}).from_secrets is expected
