from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.model import Drift, Live, ProjectSettings, Recorded
from agentk.apply.rules.drift import drift_of
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
