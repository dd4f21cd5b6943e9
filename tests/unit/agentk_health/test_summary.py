"""A project is as well as its least well object."""

from __future__ import annotations

from agentk.health.model import Health, Status, current, failed, in_progress
from agentk.health.summary import HealthSummary, Phase, Summary
from agentlink.refs import ObjectRef

A, B, C, D, E = (ObjectRef("apps", "Deployment", "shop", name) for name in "abcde")


def test_a_project_without_objects_that_need_watching_is_healthy() -> None:
    assert HealthSummary().summary == Summary(Phase.HEALTHY)


def test_it_progresses_until_the_last_object_is_current() -> None:
    health = HealthSummary()
    health.expect([A, B])
    assert health.update(A, current("done"))
    assert health.summary.phase is Phase.PROGRESSING
    assert "shop/deployment.apps/b: not seen yet" in health.summary.message

    assert health.update(B, in_progress("0 of 2 available"))
    assert "0 of 2 available" in health.summary.message
    assert health.update(B, current("done"))

    assert health.summary == Summary(Phase.HEALTHY)


def test_one_failed_object_makes_it_failed_and_is_named() -> None:
    health = HealthSummary()
    health.expect([A, B])
    health.update(A, in_progress("waits"))
    health.update(B, failed("image cannot be pulled"))

    assert health.summary == Summary(Phase.FAILED, "shop/deployment.apps/b: image cannot be pulled")


def test_an_object_that_was_well_and_no_longer_is_counts() -> None:
    health = HealthSummary()
    health.update(A, current("done"))

    assert health.update(A, Health(Status.TERMINATING))

    assert health.summary.phase is Phase.PROGRESSING


def test_the_same_again_is_no_news() -> None:
    health = HealthSummary()
    health.expect([A])

    assert health.update(A, in_progress("waits"))
    assert not health.update(A, in_progress("waits"))


def test_a_new_revision_makes_no_news_of_what_is_known_already() -> None:
    health = HealthSummary()
    health.expect([A, B])
    assert health.update(A, current("done"))

    health.expect([A, C])

    assert not health.update(A, current("done"))
    assert health.update(C, current("done"))
    assert health.summary == Summary(Phase.HEALTHY)


def test_many_unwell_objects_are_counted_not_listed() -> None:
    health = HealthSummary()
    health.expect([A, B, C, D, E])

    assert health.summary.message.endswith("and 2 more")


def test_objects_that_come_later_are_waited_for_and_the_others_stay_as_they_were() -> None:
    health = HealthSummary()
    health.expect([A, B])
    health.update(A, current("done"))
    health.update(B, current("done"))

    health.expect_more([A, C])

    assert health.summary.phase is Phase.PROGRESSING
    assert "shop/deployment.apps/c: not seen yet" in health.summary.message
    assert "deployment.apps/a" not in health.summary.message
    health.update(C, current("done"))
    assert health.summary == Summary(Phase.HEALTHY)
