from __future__ import annotations

import pytest

from agentk.apply.model import Desired, Kind, ProjectSettings, Traits
from agentk.apply.rules.recreate import NEVER, may_recreate, refuse_change
from agentlink.refs import ObjectRef

IMMUTABLE = ("spec.selector: field is immutable",)


def desired(group: str, kind: str, *, asks: bool = False) -> Desired:
    ref = ObjectRef(group, kind, "web", "one")
    return Desired(ref, Kind(group, "v1", kind, "ones", namespaced=True), "f", b"", b"d", traits=Traits(recreate=asks))


@pytest.mark.parametrize(
    ("group", "kind", "by_project", "by_annotation"),
    [
        ("apps", "Deployment", True, True),
        ("batch", "Job", True, True),
        ("", "Secret", True, True),
        ("rbac.authorization.k8s.io", "RoleBinding", True, True),
        ("databases.example.com", "Cluster", False, True),
        *((group, kind, False, False) for group, kind in sorted(NEVER)),
    ],
)
def test_who_may_ask_for_recreation(group: str, kind: str, *, by_project: bool, by_annotation: bool) -> None:
    project = ProjectSettings(1, "p", "7-1", recreate=True)
    silent = ProjectSettings(1, "p", "7-1")
    assert may_recreate(desired(group, kind), project) is by_project
    assert may_recreate(desired(group, kind, asks=True), silent) is by_annotation
    assert not may_recreate(desired(group, kind), silent)


@pytest.mark.parametrize(
    ("group", "kind", "holds", "lacks"),
    [
        ("apps", "Deployment", "set recreate: true", "never"),
        ("databases.example.com", "Cluster", "annotate it", "set recreate: true"),
        ("apps", "StatefulSet", "never deletes a StatefulSet", "annotate"),
    ],
)
def test_the_error_says_what_cannot_be_changed_and_what_to_do(group: str, kind: str, holds: str, lacks: str) -> None:
    refusal = refuse_change(ObjectRef(group, kind, "web", "one"), IMMUTABLE)
    assert refusal.reason == "ImmutableField"
    assert IMMUTABLE[0] in refusal.message
    assert holds in refusal.message
    assert lacks not in refusal.message
