from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.model import Live, ProjectSettings, Recorded
from agentk.apply.rules.done import done, has_ended_well, is_done
from agentk.apply.rules.drift import drift_of
from agentlink.refs import ObjectRef


def job(*conditions: tuple[str, str]) -> dict[str, Any]:
    status = {"conditions": [{"type": kind, "status": status} for kind, status in conditions]}
    return {"apiVersion": "batch/v1", "kind": "Job", "status": status}


@pytest.mark.parametrize(
    ("document", "ended"),
    [
        (job(("Complete", "True")), True),
        (job(("SuccessCriteriaMet", "True"), ("Complete", "True")), True),
        (job(("SuccessCriteriaMet", "True")), False),
        (job(("Complete", "False")), False),
        (job(("Failed", "True")), False),
        (job(), False),
        ({"apiVersion": "batch/v1", "kind": "Job"}, False),
        ({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": "x"}}, False),
        ({"apiVersion": "example.com/v1", "kind": "Job", "status": job(("Complete", "True"))["status"]}, False),
        ({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Succeeded"}}, True),
        ({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Failed"}}, False),
        ({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}, False),
    ],
)
def test_only_a_job_that_completed_and_a_pod_that_succeeded_have_ended_well(
    document: dict[str, Any], *, ended: bool
) -> None:
    assert has_ended_well(document) is ended


def test_what_is_done_drifts_no_more_whether_it_is_there_or_not() -> None:
    ref, settings = ObjectRef("batch", "Job", "web", "migrate"), ProjectSettings(1, "p", "7-1")
    recorded = Recorded(ref, "0" * 16, "1" * 16, "uid")
    assert drift_of(None, recorded, settings) is not None
    assert not is_done(recorded)
    assert is_done(done(recorded))
    for live in (None, Live(ref, "uid", "5", "2" * 16), Live(ref, "another", "5", "2" * 16)):
        assert drift_of(live, done(recorded), settings) is None
