"""What an expression may be, and what it says of an object."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentlink.expressions import (
    MAX_EXPRESSION,
    EvaluationError,
    Expression,
    ExpressionError,
    MissingFieldError,
)

OBJECT = {
    "metadata": {"generation": 3, "labels": {"app.kubernetes.io/name": "x"}},
    "spec": {"replicas": 2},
    "status": {
        "phase": "Ready",
        "ready": 2,
        "share": 2.0,
        "observedGeneration": 3,
        "at": "2026-11-21T10:00:00Z",
        "none": None,
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}],
    },
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('self.status.phase == "Ready"', True),
        ('self.status.phase in ["Failed", "Lost"]', False),
        ("self.status.ready == self.spec.replicas && self.status.observedGeneration >= self.metadata.generation", True),
        ("self.status.share == self.spec.replicas", True),
        ('self.status.conditions.exists(c, c.type == "Ready" && c.status == "True")', True),
        ('self.metadata.labels["app.kubernetes.io/name"] == "x"', True),
        ("has(self.status.phase) && !has(self.status.reason)", True),
        ("self.status.none == null", True),
        ('timestamp(self.status.at) < timestamp("2026-12-01T00:00:00Z")', True),
        ('self.status.phase.matches("^(Ready|Bound)$")', True),
        ("true", True),
    ],
)
def test_an_expression_says_whether_it_holds(text: str, holds: bool) -> None:  # noqa: FBT001 - a table
    assert Expression(text).holds(OBJECT) is holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1, column 1"),
        ("self.status.phase = 1", "line 1, column 19"),
        ("self.status.\nphase ==", "line 2, column 9"),
        ("object.status.phase == 1", "undeclared reference to 'object"),
        ("self.nosuchfunction()", "undeclared reference to 'nosuchfunction'"),
        ("1 + 1", "gives INT, not true or false"),
        ('"Ready"', "gives STRING, not true or false"),
        ("(" * 1000 + "true" + ")" * 1000, "recursion limit"),
        ("self" + ".a" * MAX_EXPRESSION, "at most 4096 are read"),
        ('self.x == "\ud800"', ""),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['self.status.nope == "x"', "self.status.nope.more == 1", "self.nope[0].x", 'self["a"]["b"] == 1']
)
def test_a_field_that_is_not_there_is_told_apart(text: str) -> None:
    with pytest.raises(MissingFieldError, match="Key not found"):
        Expression(text).holds(OBJECT)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("self.status.phase", "gives STRING, not true or false"),
        ("self.status.phase.x == 1", ""),
        ("int(self.status.phase) > 1", "cannot convert"),
        ("self.spec.replicas / 0 == 1", "divide by zero"),
        ("self.status.phase > 1", "No matching overload"),
        ('self.status.phase.matches("(")', "regular expression"),
        ("[1,2,3,4,5,6,7,8,9,10].all(a, " * 5 + "true" + ")" * 5, "Iteration budget exceeded"),
    ],
)
def test_what_cannot_be_evaluated_says_why(text: str, why: str) -> None:
    with pytest.raises((EvaluationError, MissingFieldError)) as caught:
        Expression(text).holds(OBJECT)
    assert why.lower() in str(caught.value).lower()


@given(st.text(max_size=200))
def test_no_text_does_harm(text: str) -> None:
    try:
        expression = Expression(text)
        expression.holds(OBJECT)
    except (ExpressionError, EvaluationError, MissingFieldError) as error:
        assert "\n" not in str(error)  # noqa: PT017 - most texts are refused, and either is right


@given(st.text(alphabet="self.status[]()!=&|?:'\"\\0123 ,{}", max_size=300))
def test_no_text_that_looks_like_an_expression_does_harm(text: str) -> None:
    with contextlib.suppress(ExpressionError, EvaluationError, MissingFieldError):
        Expression(text).holds(OBJECT)
