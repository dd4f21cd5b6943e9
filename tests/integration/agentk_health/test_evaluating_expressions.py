"""The process that evaluates expressions: ordinary ones, and those that mean harm (row 11 of the hostile inputs)."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from agentk.apply.model import HealthRule, Live
from agentk.health.expressions.evaluator import Evaluator
from agentk.health.judge import Judge
from agentk.health.model import Health, Status
from agentk.health.rules.custom import Answer
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

OBJECT = orjson.dumps({"status": {"phase": "Ready"}})
LARGE = orjson.dumps({"items": list(range(9000)), "text": "a" * 1_000_000})

ORDINARY = 'self.status.phase == "Ready"'

HOSTILE = {
    "memory": "self.items.map(a, self.text + self.text).size() > 0",
    "time": "self.items.all(a, !self.text.matches('(a*)*(b|c)*x[a-z]*y'))",
    "nesting": "self.items.map(a, self.items.map(b, self.items.map(c, c))).size() > 0",
}


async def test_answers_come_one_after_the_other() -> None:
    evaluator = Evaluator()
    async with evaluator.running():
        answers = await asyncio.gather(
            evaluator.evaluate(ORDINARY, OBJECT),
            evaluator.evaluate('self.status.phase == "Lost"', OBJECT),
            evaluator.evaluate("self.status.nothing == 1", OBJECT),
            evaluator.evaluate("self.status.phase > 1", OBJECT),
            evaluator.evaluate("self.", OBJECT),
            evaluator.evaluate(ORDINARY, b"\xff not JSON"),
            evaluator.evaluate('self.x == "\ud800"', OBJECT),
        )
    assert [one.answer for one in answers] == [
        Answer.TRUE,
        Answer.FALSE,
        Answer.MISSING,
        Answer.FAILED,
        Answer.INVALID,
        Answer.FAILED,
        Answer.MISSING,
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_an_expression_that_blows_up_is_stopped_named_and_not_asked_again(text: str) -> None:
    evaluator = Evaluator()
    async with evaluator.running():
        assert (await evaluator.evaluate(ORDINARY, OBJECT)).answer is Answer.TRUE
        stopped = await evaluator.evaluate(text, LARGE)
        assert stopped.answer is Answer.INVALID
        assert "not evaluated any more until agentk restarts" in stopped.why
        # Of what wants memory, a slow machine may see the time's end first.
        assert text != HOSTILE["time"] or "more than 0.5 s" in stopped.why
        assert await evaluator.evaluate(text, OBJECT) == stopped
        assert (await evaluator.evaluate(ORDINARY, OBJECT)).answer is Answer.TRUE


async def test_the_loop_goes_on_while_an_expression_takes_all_its_time() -> None:
    evaluator = Evaluator()
    async with evaluator.running():
        await evaluator.evaluate(ORDINARY, OBJECT)
        turns = 0
        async with asyncio.TaskGroup() as tasks:
            evaluating = tasks.create_task(evaluator.evaluate(HOSTILE["time"], LARGE))
            while not evaluating.done():
                await asyncio.sleep(0.01)
                turns += 1
    assert turns > 3


async def test_an_evaluation_that_is_broken_off_leaves_nothing_behind_for_the_next() -> None:
    evaluator = Evaluator()
    async with evaluator.running():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await evaluator.evaluate(HOSTILE["time"], LARGE)
        assert (await evaluator.evaluate('self.status.phase == "Lost"', OBJECT)).answer is Answer.FALSE


def live(name: str, version: str, owner: str = "1-2", kind: str = "Widget") -> Live:
    return Live(ObjectRef("example.com", kind, "ns", name), f"uid-{name}", version, owner=owner)


async def test_each_inventory_has_its_own_rules_and_the_newest_state_counts() -> None:
    verdicts: dict[tuple[str, str], Health] = {}

    def settled(one: Live, health: Health) -> None:
        verdicts[one.ref.name, one.resource_version] = health

    judge = Judge(Evaluator(), settled)
    rule = HealthRule("example.com", "Widget", 'self.status.phase == "Ready"', 'self.status.phase == "Broken"')
    assert judge.judge_by("1-2", (rule,)) == {("example.com", "Widget")}
    assert judge.judge_by("1-2", (rule,)) == frozenset()

    def seen(name: str, version: str, phase: str, owner: str = "1-2", **metadata: object) -> Health | None:
        return judge.assess(live(name, version, owner), {"metadata": metadata, "status": {"phase": phase}})

    assert seen("a", "1", "Pending") is None
    assert seen("a", "2", "Ready") is None
    assert seen("b", "3", "Broken") is None
    assert seen("c", "4", "Pending") is None
    assert seen("d", "5", "Pending") is None
    going = seen("d", "6", "Ready", deletionTimestamp="now")
    assert going is not None
    assert going.status is Status.TERMINATING
    other = seen("e", "7", "Pending", owner="9-9")
    assert other is not None
    assert other.status is Status.CURRENT
    async with asyncio.TaskGroup() as tasks:
        judging = tasks.create_task(judge.run())
        await eventually(lambda: len(verdicts) == 3, what="three verdicts")
        judging.cancel()
    assert {key: health.status for key, health in verdicts.items()} == {
        ("a", "2"): Status.CURRENT,
        ("b", "3"): Status.FAILED,
        ("c", "4"): Status.IN_PROGRESS,
    }
    assert judge.judge_by("1-2", ()) == {("example.com", "Widget")}
