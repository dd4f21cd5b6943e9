from __future__ import annotations

import pytest

from agentk.kube.immutable import immutable_fields

CHANGED = ("spec.selector", 'Invalid value: {"matchLabels":{"a":"c"}}: field is immutable')


@pytest.mark.parametrize(
    ("causes", "found"),
    [
        ([CHANGED], ("spec.selector: field is immutable",)),
        ([CHANGED, CHANGED], ("spec.selector: field is immutable",)),
        (
            [("spec.clusterIPs[0]", 'Invalid value: ["10.0.0.1"]: may not change once set')],
            ("spec.clusterIPs[0]: may not change once set",),
        ),
        (
            [("data", "Forbidden: field is immutable when `immutable` is set")],
            ("data: field is immutable when `immutable` is set",),
        ),
        ([("roleRef", "Invalid value: {}: cannot change roleRef")], ("roleRef: cannot change roleRef",)),
        (
            [("spec", "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden")],
            ("spec: updates to statefulset spec for fields other than 'replicas' are forbidden",),
        ),
        ([CHANGED, ("spec.template", "Required value")], ()),
        ([("spec.replicas", "Invalid value: -1: must be positive")], ()),
        ([], ()),
    ],
)
def test_only_what_cannot_be_changed_and_is_right_otherwise_counts(
    causes: list[tuple[str, str]], found: tuple[str, ...]
) -> None:
    assert immutable_fields(causes) == found
