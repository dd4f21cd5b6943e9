from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.rules.migrate import is_due, take_over

if TYPE_CHECKING:
    from agentk.apply.managers import Entry

OURS: dict[str, Any] = {"f:data": {"f:a": {}}}
LAST_APPLIED: dict[str, Any] = {
    "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}
}


def entry(manager: str, fields: dict[str, Any], operation: str = "Update", **more: str) -> Entry:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def ours(fields: dict[str, Any] | None = None) -> Entry:
    return entry("agentk", OURS if fields is None else fields, "Apply")


def theirs(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:data": fields}


B = theirs({"f:b": {}})
BOTH = theirs({"f:a": {}, "f:b": {}})


@pytest.mark.parametrize(
    ("other", "left", "own"),
    [
        (entry("kubectl-client-side-apply", BOTH), None, BOTH),
        (entry("kubectl", BOTH, "Apply"), None, BOTH),
        (entry("kubectl-last-applied", LAST_APPLIED, "Apply"), None, OURS | LAST_APPLIED),
        (entry("kubectl", B | LAST_APPLIED), None, BOTH | LAST_APPLIED),
        (entry("kubectl-create", BOTH), B, OURS),
        (entry("kubectl-edit", theirs({".": {}, "f:a": {}, "f:b": {}})), B, OURS),
        (entry("before-first-apply", OURS), None, OURS),
        (entry("agentk-released", OURS), None, OURS),
        (entry("kubectl", BOTH), B, OURS),
    ],
)
def test_what_kubectl_applied_is_taken_over_and_what_it_set_by_hand_gives_up_what_we_hold(
    other: Entry, left: dict[str, Any] | None, own: dict[str, Any]
) -> None:
    managed = [other, ours()]
    assert is_due(managed)
    expected = [ours(own)] if left is None else [ours(own), other | {"fieldsV1": left}]
    assert take_over(managed, "v1") == expected
    assert not is_due(take_over(managed, "v1"))


@pytest.mark.parametrize(
    "other",
    [
        entry("kubectl-create", B),
        entry("kubectl", OURS, subresource="scale"),
        entry("kubectl-client-side-apply", OURS, subresource="status"),
        entry("kustomize-controller", OURS, "Apply"),
        entry("helm", OURS),
        entry("kube-controller-manager", OURS),
    ],
)
def test_everybody_else_keeps_what_they_have(other: Entry) -> None:
    assert not is_due([ours(), other])


def test_what_we_never_applied_becomes_ours_in_the_version_that_we_apply() -> None:
    before = [entry("kubectl-client-side-apply", BOTH, time="2026-11-21T10:00:00Z")]
    (own,) = take_over(before, "v1")
    assert (own["manager"], own["operation"], own["apiVersion"]) == ("agentk", "Apply", "v1")
    assert own["fieldsV1"] == BOTH
    assert before[0]["manager"] == "kubectl-client-side-apply"
