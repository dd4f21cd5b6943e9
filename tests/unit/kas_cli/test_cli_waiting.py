"""What ends a wait for a commit, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kas.cli.waiting import Goal, Waiting, WaitingPrune

if TYPE_CHECKING:
    from kas.web.payloads import AgentRef, Sync

COMMIT = "844d904788b420c8f6f3cc99423809f264548fdb"
OTHER = "c" * 40


def agent(number: int) -> AgentRef:
    return {"id": number, "name": f"agent-{number}", "project": "g/c", "status": "connected", "last_seen_at": None}


def sync(
    state: str, commit: str = COMMIT, *, of: int = 1, at: int = 1, kind: str = "revision", reason: str = ""
) -> Sync:
    found = {"agent": agent(of), "kind": kind, "commit": commit, "state": state, "received_at": f"2026-11-21T10:0{at}"}
    return cast("Sync", {**found, "reason": reason})


def ends(waiting: Waiting, *syncs: Sync | None) -> list[str]:
    """Return the state of every sync that ended a wait."""
    return [ended["state"] for one in syncs for ended in waiting.see(one)]


@pytest.mark.parametrize(
    ("goal", "state", "ended", "succeeded"),
    [
        ("healthy", "received", False, False),
        ("healthy", "applying", False, False),
        ("healthy", "applied", False, False),
        ("healthy", "healthy", True, True),
        ("healthy", "stalled", True, False),
        ("healthy", "failed", True, False),
        ("healthy", "superseded", True, False),
        ("applied", "received", False, False),
        ("applied", "applied", True, True),
        ("applied", "healthy", True, True),
        ("applied", "stalled", True, True),
        ("applied", "failed", True, False),
        ("applied", "superseded", True, False),
    ],
)
def test_each_state_ends_the_wait_or_does_not(goal: Goal, state: str, *, ended: bool, succeeded: bool) -> None:
    waiting = Waiting([agent(1)], COMMIT[:8], goal)
    assert ends(waiting, sync(state), None) == ([state] if ended else [])
    assert (bool(waiting.left), waiting.succeeded) == (not ended, succeeded)


@pytest.mark.parametrize(
    ("goal", "state", "prune", "ended", "succeeded"),
    [
        ("healthy", "waiting", "fail", True, False),
        ("healthy", "waiting", "wait", False, False),
        ("healthy", "waiting", "ignore", True, True),
        ("healthy", "applied", "fail", False, False),
        ("applied", "waiting", "fail", True, False),
        ("applied", "applied", "fail", True, False),
        ("applied", "applied", "wait", False, False),
        ("applied", "applied", "ignore", True, True),
    ],
)
def test_a_prune_that_waits_for_somebody_is_no_success_unless_it_is_asked_for(
    goal: Goal, state: str, prune: WaitingPrune, *, ended: bool, succeeded: bool
) -> None:
    waiting = Waiting([agent(1)], COMMIT, goal, prune)
    assert ends(waiting, sync(state, reason="PruneNeedsConfirmation"), None) == ([state] if ended else [])
    assert (bool(waiting.left), waiting.succeeded) == (not ended, succeeded)


def test_success_is_told_at_once_and_all_else_at_a_pause() -> None:
    waiting = Waiting([agent(1), agent(2)], COMMIT, "healthy")
    assert ends(waiting, None, sync("healthy")) == ["healthy"]
    assert ends(waiting, sync("failed", of=2)) == []
    assert ends(waiting, sync("applying", of=2), None) == []
    assert ends(waiting, sync("failed", of=2), None) == ["failed"]
    assert not waiting.succeeded


def test_what_was_before_is_not_judged_until_all_of_it_is_known() -> None:
    waiting = Waiting([agent(1)], COMMIT, "healthy")
    assert ends(waiting, sync("healthy", at=1), sync("superseded", OTHER, at=2), sync("failed", at=3), None) == [
        "failed"
    ]


def test_of_several_syncs_of_the_commit_the_newest_counts_in_whatever_order_they_are_told() -> None:
    waiting = Waiting([agent(1)], COMMIT, "healthy")
    assert ends(waiting, sync("received", at=3), sync("superseded", at=2), None) == []
    assert ends(waiting, sync("superseded", at=3), sync("received", at=4), None, sync("healthy", at=4)) == ["healthy"]


def test_other_commits_other_agents_and_configurations_are_not_waited_for() -> None:
    waiting = Waiting([agent(1)], COMMIT, "healthy")
    others = sync("healthy", OTHER), sync("healthy", of=2), sync("failed", kind="configuration")
    assert ends(waiting, *others, None) == []
    assert ends(waiting, sync("failed", kind="refusal"), None) == ["failed"]
    assert ends(waiting, sync("healthy"), None) == [], "it is over"
