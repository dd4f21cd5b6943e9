from __future__ import annotations

import pytest

from agentk.apply.model import Kind
from agentk.apply.rules.order import Rank, rank_of


def kind(group: str, name: str) -> Kind:
    return Kind(group, "v1", name, name.lower() + "s", namespaced=False)


@pytest.mark.parametrize(
    ("group", "name", "rank"),
    [
        ("", "Namespace", Rank.NAMESPACES),
        ("example.com", "Namespace", Rank.WORKLOADS),
        ("apiextensions.k8s.io", "CustomResourceDefinition", Rank.DEFINITIONS),
        ("scheduling.k8s.io", "PriorityClass", Rank.CLUSTER),
        ("", "ResourceQuota", Rank.CLUSTER),
        ("storage.k8s.io", "StorageClass", Rank.STORAGE),
        ("", "PersistentVolumeClaim", Rank.STORAGE),
        ("", "ConfigMap", Rank.CONFIGURATION),
        ("", "ServiceAccount", Rank.CONFIGURATION),
        ("rbac.authorization.k8s.io", "RoleBinding", Rank.RBAC),
        ("", "Service", Rank.SERVICES),
        ("apps", "Deployment", Rank.WORKLOADS),
        ("example.com", "Widget", Rank.WORKLOADS),
        ("serving.knative.dev", "Service", Rank.WORKLOADS),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Rank.INTERCEPTORS),
        ("apiregistration.k8s.io", "APIService", Rank.INTERCEPTORS),
    ],
)
def test_each_kind_has_its_stage(group: str, name: str, rank: Rank) -> None:
    assert rank_of(kind(group, name)) is rank


def test_what_others_use_comes_before_them() -> None:
    assert list(Rank) == sorted(Rank)
    assert [rank.name for rank in Rank] == [
        "NAMESPACES",
        "DEFINITIONS",
        "CLUSTER",
        "STORAGE",
        "CONFIGURATION",
        "RBAC",
        "SERVICES",
        "WORKLOADS",
        "INTERCEPTORS",
    ]
