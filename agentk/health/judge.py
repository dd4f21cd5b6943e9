"""Says how each object fares: by its project's own rule for the kind where there is one, otherwise as everywhere.

Built-in rules answer at once. Expressions take their time in another process, so that their verdict comes later, and
only for the newest state of an object.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from agentk.health.rules import assess, needs_status
from agentk.health.rules.custom import by_rule, rule_for
from agentk.health.rules.generic import before_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentk.apply.model import HealthRule, Kind, Live
    from agentk.health.expressions.evaluator import Evaluator
    from agentk.health.model import Health
    from agentlink.refs import ObjectRef


class Judge:
    """Judges the objects of all projects. ``settled`` is told each verdict that took time, by ``run``."""

    def __init__(self, evaluator: Evaluator, settled: Callable[[Live, Health], None]) -> None:
        self._evaluator = evaluator
        self._settled = settled
        self._rules: dict[str, tuple[HealthRule, ...]] = {}
        self._waiting: dict[ObjectRef, tuple[Live, Mapping[str, object], HealthRule]] = {}
        self._wake = asyncio.Event()

    def judge_by(self, inventory_id: str, rules: tuple[HealthRule, ...]) -> frozenset[tuple[str, str]]:
        """Judge an inventory's objects by these rules; return the kinds, as (group, kind), for which that is news."""
        before = self._rules.pop(inventory_id, ())
        if rules:
            self._rules[inventory_id] = rules
        return frozenset((rule.group, rule.kind) for rule in set(before).symmetric_difference(rules))

    def needs_status(self, kind: Kind) -> bool:
        """Tell whether whole objects of a kind are needed, for any project."""
        return needs_status(kind) or any(rule_for(kind.group, kind.kind, rules) for rules in self._rules.values())

    def assess(self, live: Live, raw: Mapping[str, object]) -> Health | None:
        """Judge an object as the API server returned it; None when ``settled`` will be told."""
        self._waiting.pop(live.ref, None)
        rule = rule_for(live.ref.group, live.ref.kind, self._rules.get(live.owner or "", ()))
        if rule is None:
            return assess(raw)
        decided = before_rules(raw)
        if decided is None:
            self._waiting[live.ref] = (live, raw, rule)
            self._wake.set()
        return decided

    async def run(self) -> None:
        """Evaluate what waits, one object after the other, for ever."""
        async with self._evaluator.running():
            while True:
                while self._waiting:
                    ref = next(iter(self._waiting))
                    live, raw, rule = self._waiting.pop(ref)
                    health = await self._evaluate(live, raw, rule)
                    if ref not in self._waiting:
                        self._settled(live, health)
                self._wake.clear()
                await self._wake.wait()

    async def _evaluate(self, live: Live, raw: Mapping[str, object], rule: HealthRule) -> Health:
        obj = orjson.dumps(raw)
        evaluate = self._evaluator.evaluate
        return by_rule(
            rule,
            await evaluate(rule.failed, obj) if rule.failed else None,
            await evaluate(rule.current, obj) if rule.current else None,
            lambda: assess(raw),
            hides=live.from_secrets,
        )
