"""A project's own rules: what expressions gave, turned into health; and when a rule has no say."""

from __future__ import annotations

import pytest

from agentk.apply.model import HealthRule, Kind
from agentk.health.model import Health, Status
from agentk.health.rules import needs_status
from agentk.health.rules.custom import Answer, Evaluated, by_rule, rule_for

BUILT_IN = Health(Status.CURRENT, "by the built-in rule")

TRUE, FALSE = Evaluated(Answer.TRUE), Evaluated(Answer.FALSE)
MISSING = Evaluated(Answer.MISSING, "Key not found: phase")
FAILED = Evaluated(Answer.FAILED, "cannot convert hunter2")
INVALID = Evaluated(Answer.INVALID, "line 1, column 3: Syntax error")


@pytest.mark.parametrize(
    ("said_failed", "said_current", "status", "message"),
    [
        (None, TRUE, Status.CURRENT, "is current by the configuration's rule"),
        (None, FALSE, Status.IN_PROGRESS, "not yet: self.ok"),
        (None, MISSING, Status.IN_PROGRESS, "not yet: self.ok (Key not found: phase)"),
        (None, FAILED, Status.UNKNOWN, "rule current for Widget fails for this object: cannot convert hunter2"),
        (None, INVALID, Status.UNKNOWN, "rule current for Widget cannot be used: line 1, column 3: Syntax error"),
        (TRUE, TRUE, Status.FAILED, "has failed by the configuration's rule: self.bad"),
        (TRUE, INVALID, Status.FAILED, "self.bad"),
        (FALSE, TRUE, Status.CURRENT, ""),
        (MISSING, TRUE, Status.CURRENT, ""),
        (MISSING, MISSING, Status.IN_PROGRESS, "not yet: self.ok"),
        (FAILED, TRUE, Status.UNKNOWN, "rule failed for Widget fails for this object"),
        (INVALID, TRUE, Status.UNKNOWN, "rule failed for Widget cannot be used"),
        (FALSE, None, Status.CURRENT, "by the built-in rule"),
        (TRUE, None, Status.FAILED, "self.bad"),
        (MISSING, None, Status.CURRENT, "by the built-in rule"),
    ],
)
def test_what_expressions_gave_decides_the_health(
    said_failed: Evaluated | None, said_current: Evaluated | None, status: Status, message: str
) -> None:
    rule = HealthRule("example.com", "Widget", "self.ok", "self.bad")
    health = by_rule(rule, said_failed, said_current, lambda: BUILT_IN)
    assert health.status is status
    assert message in health.message


@pytest.mark.parametrize("said", [FAILED, MISSING])
@pytest.mark.parametrize(("kind", "hides"), [("Secret", False), ("ConfigMap", True)])
def test_nothing_of_what_a_secret_holds_is_told(said: Evaluated, kind: str, hides: bool) -> None:  # noqa: FBT001 - a case
    health = by_rule(HealthRule("", kind, "self.ok"), None, said, lambda: BUILT_IN, hides=hides)
    assert said.why not in health.message
    assert "its values are not shown" in health.message


def test_a_long_expression_is_told_shortened_and_in_one_line() -> None:
    rule = HealthRule("", "Pod", "self.status.a == 1 &&\n" * 50)
    message = by_rule(rule, None, FALSE, lambda: BUILT_IN).message
    assert "\n" not in message
    assert len(message) < 150


def test_the_first_rule_for_a_kind_counts_and_others_have_none() -> None:
    rules = (HealthRule("apps", "Deployment", "1"), HealthRule("", "Pod", "2"), HealthRule("", "Pod", "3"))
    assert rule_for("", "Pod", rules) is rules[1]
    assert rule_for("apps", "Pod", rules) is None
    assert rule_for("", "Deployment", rules) is None


def test_a_rule_makes_whole_objects_needed_where_metadata_would_do() -> None:
    config_map = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
    assert not needs_status(config_map)
    assert not needs_status(config_map, (HealthRule("", "Secret", "true"),))
    assert needs_status(config_map, (HealthRule("", "ConfigMap", "has(self.data.ready)"),))
