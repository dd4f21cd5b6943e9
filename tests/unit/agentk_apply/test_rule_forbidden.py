"""What may not, or cannot, be looked at is neither applied nor forgotten."""

from __future__ import annotations

import pytest

from agentk.apply.model import Desired, Kind, Outcome, Refusal, Result
from agentk.apply.resolve import Resolved
from agentk.apply.rules.forbidden import hidden_by, leave_out, why_hidden
from agentlink.refs import ObjectRef

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
HERE = ObjectRef("", "ConfigMap", "here", "a")
THERE = ObjectRef("", "ConfigMap", "there", "a")
GONE = ObjectRef("", "ConfigMap", "there", "left-git")


def desired(ref: ObjectRef) -> Desired:
    return Desired(ref, CONFIG_MAP, "a.yaml", b"{}", bytes(8))


RESOLVED = Resolved((desired(HERE), desired(THERE)), (Outcome(HERE, Result.FAILED, reason="Other"),))


@pytest.mark.parametrize("status", [403, 429, 500, 503, 504])
def test_some_statuses_hide_one_kind(status: int) -> None:
    assert hidden_by(status)


@pytest.mark.parametrize("status", [0, 400, 401, 404, 410])
def test_the_others_are_about_the_whole_cluster_or_the_request(status: int) -> None:
    assert not hidden_by(status)


def test_why_a_kind_cannot_be_seen_is_said_with_the_servers_words_and_the_remedy() -> None:
    refused = why_hidden(403, "Forbidden", "configmaps is forbidden")
    away = why_hidden(503, "ServiceUnavailable", "the server is currently unable to handle the request")

    assert (refused.reason, away.reason) == ("Forbidden", "ServiceUnavailable")
    assert "configmaps is forbidden" in refused.message
    assert "extend its role" in refused.message
    assert "unable to handle the request" in away.message
    assert "look at its APIService" in away.message


def test_without_anything_forbidden_nothing_changes() -> None:
    assert leave_out(RESOLVED, [GONE], {}) is RESOLVED


def test_objects_in_a_forbidden_place_fail_with_the_reason_and_the_rest_goes_on() -> None:
    left = leave_out(RESOLVED, [], {("", "ConfigMap", "there"): Refusal("Forbidden", "no")})

    assert [one.ref for one in left.desired] == [HERE]
    other, refused = left.refused
    assert other.reason == "Other"
    assert (refused.ref, refused.reason, refused.path) == (THERE, "Forbidden", "a.yaml")
    assert refused.message == "no"


def test_a_recorded_object_that_left_git_is_a_failure_too_so_that_it_is_not_forgotten() -> None:
    left = leave_out(RESOLVED, [HERE, THERE, GONE], {("", "ConfigMap", "there"): Refusal("ServiceUnavailable", "no")})

    assert [one.ref for one in left.refused[1:]] == [THERE, GONE]
