"""A project's own rules, ``health`` in config.yaml: from what its expressions gave to the health of the object.

Deletion and the observed generation come first, as for every kind: a status that speaks of an older generation is no
reason to call the new one current.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from agentk.health.model import Health, Status, current, failed, in_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentk.apply.model import HealthRule

_SHOWN: Final = 120
"""Characters of an expression that a message repeats."""


class Answer(StrEnum):
    """What became of evaluating one expression for one object."""

    TRUE = "true"
    FALSE = "false"
    MISSING = "missing"
    """The object has no field that the expression reads."""
    FAILED = "failed"
    """It cannot be evaluated for this object."""
    INVALID = "invalid"
    """It is no expression, or evaluating it was stopped and is not tried again."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An answer, and why; ``why`` may hold values of the object."""

    answer: Answer
    why: str = ""


def rule_for(group: str, kind: str, rules: Iterable[HealthRule]) -> HealthRule | None:
    """Return the first rule for a kind, None where it is judged as everywhere."""
    return next((rule for rule in rules if rule.group == group and rule.kind == kind), None)


def by_rule(
    rule: HealthRule,
    said_failed: Evaluated | None,
    said_current: Evaluated | None,
    built_in: Callable[[], Health],
    *,
    hides: bool = False,
) -> Health:
    """Conclude.

    Args:
        rule: The rule.
        said_failed: What its ``failed`` gave, None where it has none.
        said_current: What its ``current`` gave, None where it has none.
        built_in: Judges the object without the rule; asked when the rule says only when objects have failed.
        hides: Whether nothing of the object's content may be told, because it holds what a Secret holds.
    """
    if said_failed is not None:
        if said_failed.answer is Answer.TRUE:
            return failed(f"has failed by the configuration's rule: {_short(rule.failed)}")
        if (unknown := _unknown("failed", rule, said_failed, hides=hides)) is not None:
            return unknown
    if said_current is None:
        return built_in()
    if said_current.answer is Answer.TRUE:
        return current("is current by the configuration's rule")
    if (unknown := _unknown("current", rule, said_current, hides=hides)) is not None:
        return unknown
    why = f" ({_why(rule, said_current, hides=hides)})" if said_current.answer is Answer.MISSING else ""
    return in_progress(f"not yet: {_short(rule.current)}{why}")


def _unknown(name: str, rule: HealthRule, said: Evaluated, *, hides: bool) -> Health | None:
    if said.answer is Answer.INVALID:
        message = f"the configuration's rule {name} for {rule.kind} cannot be used: {said.why}"
    elif said.answer is Answer.FAILED:
        message = (
            f"the configuration's rule {name} for {rule.kind} fails for this object: {_why(rule, said, hides=hides)}"
        )
    else:
        return None
    return Health(Status.UNKNOWN, message)


def _why(rule: HealthRule, said: Evaluated, *, hides: bool) -> str:
    """Return the reason, unless it may hold what a Secret does."""
    return "its values are not shown" if hides or (rule.group, rule.kind) == ("", "Secret") else said.why


def _short(expression: str) -> str:
    line = " ".join(expression.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
