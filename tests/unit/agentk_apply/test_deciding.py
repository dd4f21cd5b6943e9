from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.deciding import decide_one, explain_first
from agentk.apply.model import (
    Apply,
    Desired,
    Drift,
    DriftPolicy,
    Kind,
    Live,
    Outcome,
    ProjectSettings,
    Recorded,
    Result,
    Traits,
    Why,
)
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "web", "settings")
DESIRED = Desired(REF, Kind("", "v1", "ConfigMap", "configmaps", namespaced=True), "f.yaml", b"{}", b"digest")
SETTINGS = ProjectSettings(1, "p", "7-1")
RECORDED = Recorded(REF, DESIRED.digest.hex(), "print", "uid")
LIVE = Live(REF, "uid", "5", "print", "7-1", labelled=True)
CHANGED = replace(LIVE, fingerprint="other")


def decide(
    live: Live | None,
    recorded: Recorded | None = RECORDED,
    *,
    traits: Traits | None = None,
    settings: ProjectSettings = SETTINGS,
) -> Apply:
    action = decide_one(replace(DESIRED, traits=traits), recorded, live, settings)
    assert isinstance(action, Apply)
    return action


@pytest.mark.parametrize("of_object", [True, False])
@pytest.mark.parametrize("live", [CHANGED, None])
@pytest.mark.parametrize(
    ("policy", "result"),
    [(DriftPolicy.CORRECT, None), (DriftPolicy.REPORT, Result.SKIPPED), (DriftPolicy.IGNORE, Result.UNCHANGED)],
)
def test_drift_is_treated_as_the_object_or_else_the_project_says(
    policy: DriftPolicy, result: Result | None, live: Live | None, *, of_object: bool
) -> None:
    traits = Traits(drift=policy) if of_object else None
    settings = replace(SETTINGS, drift=DriftPolicy.IGNORE if of_object else policy)
    action = decide_one(replace(DESIRED, traits=traits), RECORDED, live, settings)
    if result is None:
        assert isinstance(action, Apply)
        assert (action.why, action.rehearse) == (Why.DRIFTED, False)
    elif result is Result.SKIPPED and live is not None:
        assert isinstance(action, Apply)
        assert action.rehearse
    else:
        assert isinstance(action, Outcome)
        assert action.result is result


def test_what_git_changed_is_applied_whatever_is_done_about_drift() -> None:
    action = decide(CHANGED, replace(RECORDED, digest="before"), settings=replace(SETTINGS, drift=DriftPolicy.IGNORE))
    assert (action.why, action.rehearse, action.drift) == (Why.CHANGED, False, None)


def test_drift_is_explained_and_forced_where_no_other_applier_is() -> None:
    action = decide(CHANGED)
    assert (action.drift, action.explain, action.force) == (Drift.FIELDS_CHANGED, True, True)
    contested = replace(CHANGED, appliers=frozenset({"flux"}))
    assert not decide(contested).force
    assert decide(contested, traits=Traits(force_conflicts=True)).force
    assert decide(contested, settings=replace(SETTINGS, force_conflicts=True)).force


def test_ownership_is_migrated_where_the_cluster_says_so_and_nowhere_else() -> None:
    assert decide(replace(CHANGED, migrate=True)).migrate
    assert not decide(CHANGED).migrate
    assert not decide(None, None).migrate
    assert isinstance(decide_one(DESIRED, RECORDED, replace(LIVE, migrate=True), SETTINGS), Outcome)


def test_only_this_very_object_may_be_recreated() -> None:
    allowed = replace(SETTINGS, recreate=True)
    assert decide(CHANGED, settings=allowed).recreate == "uid"
    assert not decide(CHANGED).recreate
    assert not decide(None, None, settings=allowed).recreate


def test_an_autoscaled_object_says_so_also_when_nothing_is_to_be_done() -> None:
    action = decide_one(replace(DESIRED, traits=Traits(scaler="web/hpa/one")), RECORDED, LIVE, SETTINGS)
    assert isinstance(action, Outcome)
    assert (action.result, action.reason) == (Result.UNCHANGED, "Autoscaled")
    assert "web/hpa/one" in action.message


def test_of_a_great_many_drifted_objects_only_some_are_explained() -> None:
    explained = [action.explain for action in explain_first([decide(CHANGED)] * 150)]
    assert explained == [True] * 100 + [False] * 50
