from __future__ import annotations

import pytest

from agentk.apply.model import Live
from agentk.apply.rules.conflict import force_at_once, refuse_to_force
from agentlink.refs import ObjectRef

UPDATER = 'conflict with "kubectl-edit" using apps/v1'
DATED = 'conflict with "kubectl-client-side-apply" using v1 at 2026-11-21T10:00:00Z'
SCALED = 'conflict with "kubectl" with subresource "scale" using apps/v1'
APPLIER = 'conflict with "flux"'


@pytest.mark.parametrize("message", [UPDATER, DATED, SCALED])
def test_git_wins_over_those_who_set_fields_by_updating(message: str) -> None:
    assert refuse_to_force([(message, ".spec.replicas")], "Apply failed with 1 conflict: …") is None


@pytest.mark.parametrize(
    "message",
    [
        APPLIER,
        'conflict with "argocd" with subresource "status"',
        'conflict with "someone using v1"',
        'conflict with "a\\" using v1"',
        "words of a later version",
    ],
)
def test_another_applier_is_never_overruled(message: str) -> None:
    refusal = refuse_to_force([(UPDATER, ".data.a"), (message, ".data.b")], "Apply failed with 2 conflicts: …")
    assert refusal is not None
    assert refusal.reason == "FieldConflict"
    assert ".data.b" in refusal.message
    assert ".data.a" not in refusal.message


def test_the_refusal_names_the_manager_and_at_most_ten_fields() -> None:
    refusal = refuse_to_force([(APPLIER, f".data.k{i}") for i in range(12)], "Apply failed with 12 conflicts: …")
    assert refusal is not None
    assert "'flux'" in refusal.message
    assert ".data.k9" in refusal.message
    assert ".data.k10" not in refusal.message
    assert "2 more" in refusal.message


def test_a_conflict_of_which_a_part_is_hidden_is_not_forced() -> None:
    assert refuse_to_force([(UPDATER, ".data.a")], "Apply failed with 150 conflicts: …") is not None
    assert refuse_to_force([], "Apply failed") is not None


@pytest.mark.parametrize(("appliers", "force"), [(frozenset[str](), True), (frozenset({"flux"}), False)])
def test_drift_is_put_back_by_force_where_no_other_applier_is(appliers: frozenset[str], *, force: bool) -> None:
    live = Live(ObjectRef("", "ConfigMap", "web", "a"), "u", "1", appliers=appliers)
    assert force_at_once(live) is force


def test_an_object_that_is_missing_needs_no_force() -> None:
    assert force_at_once(None) is False
