from __future__ import annotations

import pytest

from agentk.apply.model import Kind
from agentk.apply.rules.order import Rank, position_of, rank_of


def kind(group: str, name: str) -> Kind:
    return Kind(group, "v1", name, name.lower() + "s", namespaced=False)


@pytest.mark.parametrize(
    ("group", "name", "rank"),
    [
        ("", "Namespace", Rank.NAMESPACES),
        ("example.com", "Namespace", Rank.OBJECTS),
        ("apiextensions.k8s.io", "CustomResourceDefinition", Rank.DEFINITIONS),
        ("", "ConfigMap", Rank.OBJECTS),
        ("apps", "Deployment", Rank.OBJECTS),
        ("example.com", "Widget", Rank.OBJECTS),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Rank.INTERCEPTORS),
        ("apiregistration.k8s.io", "APIService", Rank.INTERCEPTORS),
    ],
)
def test_each_kind_has_its_stage(group: str, name: str, rank: Rank) -> None:
    assert rank_of(kind(group, name)) is rank


def test_within_a_stage_what_others_use_starts_first() -> None:
    names = ["StorageClass", "ServiceAccount", "Role", "Service", "Deployment"]
    positions = [position_of(kind("x", name)) for name in names]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(positions)
