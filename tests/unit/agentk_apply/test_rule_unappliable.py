"""Kinds that are no desired state."""

from __future__ import annotations

import pytest

from agentk.apply.model import Kind
from agentk.apply.rules.unappliable import refuse_kind

ALL = frozenset({"create", "delete", "get", "list", "patch", "update", "watch"})


@pytest.mark.parametrize(
    ("group", "name", "verbs", "refused"),
    [
        ("", "ConfigMap", ALL, False),
        ("example.com", "Widget", frozenset(), False),
        ("", "Event", ALL, True),
        ("events.k8s.io", "Event", ALL, True),
        ("example.com", "Event", ALL, False),
        ("", "Binding", frozenset({"create"}), True),
        ("authorization.k8s.io", "SelfSubjectAccessReview", frozenset({"create"}), True),
        ("metrics.k8s.io", "PodMetrics", frozenset({"get", "list"}), True),
    ],
)
def test_a_kind_is_refused_that_cannot_be_kept_as_git_says(
    group: str,
    name: str,
    verbs: frozenset[str],
    refused: bool,  # noqa: FBT001 - a case
) -> None:
    refusal = refuse_kind(Kind(group, "v1", name, "x", namespaced=True), verbs)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.reason == "KindNotAppliable"
