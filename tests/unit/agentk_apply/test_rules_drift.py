from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.model import (
    Desired,
    Drift,
    DriftPolicy,
    Kind,
    Live,
    ProjectSettings,
    Recorded,
    Suspension,
    Traits,
)
from agentk.apply.rules.drift import drift_of, policy_for
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "web", "settings")
SETTINGS = ProjectSettings(1, "p", "7-1")
RECORDED = Recorded(REF, "digest", "print", "uid-1")
AS_APPLIED = Live(REF, "uid-1", "1", "print", "7-1", labelled=True)


@pytest.mark.parametrize(
    ("live", "drift"),
    [
        (AS_APPLIED, None),
        (replace(AS_APPLIED, resource_version="2"), None),
        (replace(AS_APPLIED, appliers=frozenset({"flux"})), None),
        (replace(AS_APPLIED, deleting=True), None),
        (None, Drift.MISSING),
        (replace(AS_APPLIED, uid="uid-2"), Drift.RECREATED),
        (replace(AS_APPLIED, fingerprint="other"), Drift.FIELDS_CHANGED),
        (replace(AS_APPLIED, fingerprint=None), Drift.FIELDS_CHANGED),
        (replace(AS_APPLIED, labelled=False), Drift.LABEL_LOST),
        (replace(AS_APPLIED, owner=None), Drift.OWNER_CHANGED),
        (replace(AS_APPLIED, owner="9-9"), Drift.OWNER_CHANGED),
    ],
)
def test_only_changes_of_what_we_applied_are_drift(live: Live | None, drift: Drift | None) -> None:
    assert drift_of(live, RECORDED, SETTINGS) is drift


def test_an_object_taken_over_from_an_inventory_without_fingerprints_counts_as_changed() -> None:
    assert drift_of(AS_APPLIED, Recorded(REF), SETTINGS) is not None


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize(
    ("project", "annotation", "policy"),
    [
        (DriftPolicy.CORRECT, None, DriftPolicy.CORRECT),
        (DriftPolicy.REPORT, None, DriftPolicy.REPORT),
        (DriftPolicy.IGNORE, None, DriftPolicy.IGNORE),
        (DriftPolicy.CORRECT, DriftPolicy.IGNORE, DriftPolicy.IGNORE),
        (DriftPolicy.IGNORE, DriftPolicy.CORRECT, DriftPolicy.CORRECT),
    ],
)
def test_an_annotation_goes_before_the_project_and_a_suspension_before_both(
    project: DriftPolicy,
    annotation: DriftPolicy | None,
    policy: DriftPolicy,
    suspended: bool,  # noqa: FBT001 - a table
) -> None:
    kind = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
    traits = None if annotation is None else Traits(drift=annotation)
    desired = Desired(REF, kind, "a.yaml", b"{}", b"digest", traits=traits)
    settings = replace(SETTINGS, drift=project, suspension=Suspension() if suspended else None)
    told = suspended and policy is DriftPolicy.CORRECT
    assert policy_for(desired, settings) is (DriftPolicy.REPORT if told else policy)
