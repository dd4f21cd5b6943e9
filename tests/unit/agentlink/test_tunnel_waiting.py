from __future__ import annotations

from agentlink.tunnel_waiting import Waiting


def test_the_one_that_was_silent_for_longest_goes_first() -> None:
    now = 0.0
    waiting: Waiting[str] = Waiting(2, patience=1, clock=lambda: now)
    assert waiting.enter("a") is None
    now = 0.5
    assert waiting.enter("b") is None
    now = 1.0
    assert waiting.enter("c") == "a"
    assert waiting.enter("d") == "d"
    now = 1.5
    assert waiting.enter("d") == "b"
    assert len(waiting) == 2


def test_who_has_begun_does_not_count() -> None:
    waiting: Waiting[str] = Waiting(1, patience=1, clock=lambda: 0.0)
    for name in ("a", "b", "a"):
        assert waiting.enter(name) is None
        waiting.leave(name)
        waiting.leave(name)
    assert len(waiting) == 0
