from __future__ import annotations

from typing import Any

from agentk.apply.model import Kind
from agentk.kube.discovery_documents import from_aggregated, from_resource_list, versions_of


def resource(plural: str, kind: str, scope: str = "Namespaced", **more: object) -> dict[str, Any]:
    response = {"group": "", "version": "", "kind": kind} if kind else None
    return {"resource": plural, "responseKind": response, "scope": scope, "verbs": ["get", "list"], **more}


def test_an_aggregated_document_gives_kinds_and_names_stale_groups() -> None:
    document = {
        "items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("nodes", "Node", "Cluster")]}]},
            {
                "metadata": {"name": "apps"},
                "versions": [
                    {
                        "version": "v1",
                        "freshness": "Current",
                        "resources": [
                            resource("deployments", "Deployment", subresources=[{"subresource": "scale"}]),
                            resource("groupers", ""),
                        ],
                    },
                    {"version": "v1beta1", "resources": [resource("deployments", "Deployment")]},
                ],
            },
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]},
        ]
    }
    served, stale = from_aggregated(document)
    assert [one.kind for one in served] == [
        Kind("", "v1", "Node", "nodes", namespaced=False),
        Kind("apps", "v1", "Deployment", "deployments", namespaced=True),
        Kind("apps", "v1beta1", "Deployment", "deployments", namespaced=True),
    ]
    assert served[0].verbs == {"get", "list"}
    assert stale == {"metrics.k8s.io/v1beta1"}


def test_an_empty_document_gives_nothing() -> None:
    assert from_aggregated({"items": None}) == ([], set())
    assert versions_of({"versions": None}) == []
    assert versions_of({"groups": None}) == []
    assert from_resource_list("v1", {"resources": None}) == []


def test_the_preferred_version_of_an_old_group_list_comes_first() -> None:
    group = {
        "name": "apps",
        "versions": [{"groupVersion": "apps/v1beta1"}, {"groupVersion": "apps/v1"}],
        "preferredVersion": {"groupVersion": "apps/v1"},
    }
    assert versions_of({"groups": [group]}) == ["apps/v1", "apps/v1beta1"]
    assert versions_of({"versions": ["v1"]}) == ["v1"]


def test_subresources_are_no_kinds_of_their_own() -> None:
    resources = [
        {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True, "verbs": ["get"]},
    ]
    served = from_resource_list("apps/v1", {"resources": resources})
    assert [one.kind for one in served] == [Kind("apps", "v1", "Deployment", "deployments", namespaced=True)]
    assert from_resource_list("v1", {"resources": resources})[0].kind.group == ""
