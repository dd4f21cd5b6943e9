"""Outcomes come back as they are told, whatever is kept of them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.model import Outcome, Result
from agentk.gitops.outcomes import Outcomes
from agentk.gitops.sync_result import SyncResult
from agentk.reports.convert import count, counted
from agentlink.refs import ObjectRef

OUTCOMES = st.lists(
    st.builds(
        Outcome,
        ref=st.builds(ObjectRef, st.just(""), st.just("ConfigMap"), st.just("web"), st.text(max_size=3)),
        result=st.sampled_from(Result),
        path=st.sampled_from(["", "a.yaml"]),
        reason=st.sampled_from(["", "Superseded", "DependencyFailed", "DriftCorrected"]),
        message=st.sampled_from(["", "why"]),
        uid=st.sampled_from(["", "uid"]),
    )
)


@given(OUTCOMES)
def test_they_are_what_was_put_in(given_: list[Outcome]) -> None:
    outcomes = Outcomes(given_)
    told = [one.told for one in given_]
    assert list(outcomes) == told
    assert len(outcomes) == len(told)
    assert outcomes.results == Counter(one.result for one in told)
    assert counted(outcomes.results, untouched=3).unchanged == count(told).unchanged + 3
    unsaid = Counter(told) - Counter(outcomes.said)
    assert {(one.reason, one.message) for one in unsaid} <= {("", "")}
    assert {one.result for one in unsaid} <= {Result.CREATED, Result.CONFIGURED, Result.UNCHANGED}


@given(OUTCOMES)
def test_a_result_says_what_all_outcomes_say(given_: list[Outcome]) -> None:
    result, told = SyncResult(Outcomes(given_)), [one.told for one in given_]
    well = {Result.CREATED, Result.CONFIGURED, Result.UNCHANGED, Result.PRUNED}
    assert result.settled == all(one.result in well for one in told)
    assert result.superseded == any(one.reason == "Superseded" for one in told)
    assert Counter(result.failed) == Counter(
        [one for one in told if one.result is Result.FAILED] + [one for one in told if one.reason == "DependencyFailed"]
    )
