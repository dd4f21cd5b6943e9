"""Who is known to be connected elsewhere: to who comes later, while others cannot be heard, and after a move."""

from __future__ import annotations

from kas.replicas.presence import SILENT_SECONDS
from tests.unit.kas_replicas.replica_parts import AGENT, Replica, two


async def test_nobody_is_forgotten_by_who_cannot_hear_and_what_was_known_is_shown() -> None:
    async with two() as (one, other):
        other.connect()
        one.bus.trouble = "away"
        for _ in range(20):
            one.presence.turn()  # time goes on, and no beat comes back
        assert [session.connection_id for session in one.presence.sessions()] == ["c"]
        assert not one.presence.replicas, "nobody is in reach"
        one.bus.trouble = ""
        assert list(one.presence.replicas) == [other.bus.replica]
        one.now[0] += SILENT_SECONDS + 1  # now it can hear, and the other one says nothing
        one.presence.turn()
        assert not one.presence.sessions()


async def test_an_agentk_that_comes_here_is_not_shown_where_it_was_any_more() -> None:
    async with two() as (one, other):
        other.connect("there", instance="i")
        other.connect("beside", instance="j")
        one.connect("here", instance="i")
        assert [session.connection_id for session in one.presence.of_agent(AGENT)] == ["beside"]
        other.presence.removed(other.sessions[0])  # as it will say itself
        assert [session.connection_id for session in one.presence.of_agent(AGENT)] == ["beside"]


async def test_a_replica_that_comes_later_learns_who_is_connected() -> None:
    async with two() as (one, _):
        one.connect("c1")
        late = Replica(one.hub, one.now)
        with late.presence.listening():
            one.presence.turn()
            assert [session.connection_id for session in late.presence.of_agent(AGENT)] == ["c1"]
            one.presence.removed(one.sessions.pop())
            assert not late.presence.sessions()
