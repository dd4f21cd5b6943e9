"""What may not be looked at is neither applied nor forgotten."""

from __future__ import annotations

from agentk.apply.model import Desired, Kind, Outcome, Result
from agentk.apply.resolve import Resolved
from agentk.apply.rules.forbidden import leave_out
from agentlink.refs import ObjectRef

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
HERE = ObjectRef("", "ConfigMap", "here", "a")
THERE = ObjectRef("", "ConfigMap", "there", "a")
GONE = ObjectRef("", "ConfigMap", "there", "left-git")


def desired(ref: ObjectRef) -> Desired:
    return Desired(ref, CONFIG_MAP, "a.yaml", b"{}", "0" * 16)


RESOLVED = Resolved((desired(HERE), desired(THERE)), (Outcome(HERE, Result.FAILED, reason="Other"),))


def test_without_anything_forbidden_nothing_changes() -> None:
    assert leave_out(RESOLVED, [GONE], {}) is RESOLVED


def test_objects_in_a_forbidden_place_fail_with_the_servers_words_and_the_rest_goes_on() -> None:
    left = leave_out(RESOLVED, [], {("", "ConfigMap", "there"): "configmaps is forbidden"})

    assert [one.ref for one in left.desired] == [HERE]
    other, refused = left.refused
    assert other.reason == "Other"
    assert (refused.ref, refused.reason, refused.path) == (THERE, "Forbidden", "a.yaml")
    assert "configmaps is forbidden" in refused.message


def test_a_recorded_object_that_left_git_is_a_failure_too_so_that_it_is_not_forgotten() -> None:
    left = leave_out(RESOLVED, [HERE, THERE, GONE], {("", "ConfigMap", "there"): "no"})

    assert [one.ref for one in left.refused[1:]] == [THERE, GONE]
