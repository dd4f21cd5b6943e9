from __future__ import annotations

from datetime import UTC, datetime

from agentlink.v1.agentlink_pb2 import AgentMeta
from kas.rpc.sessions import AgentIdentity, Ending, Session, Sessions


class World:
    def __init__(self) -> None:
        self.sessions = Sessions()
        self.ended: list[tuple[str, Ending]] = []

    def add(self, connection_id: str, agent_id: int, *, token_id: int = 1, instance: str = "") -> Session:
        session = Session(
            connection_id=connection_id,
            identity=AgentIdentity(agent_id, f"agent-{agent_id}", "group/config", token_id),
            meta=AgentMeta(instance_id=instance or connection_id),
            connected_at=datetime(2026, 11, 21, tzinfo=UTC),
            transport="grpc",
            peer="127.0.0.1:1",
        )
        self.sessions.add(session, lambda ending: self.ended.append((connection_id, ending)))
        return session


def test_sessions_are_listed_until_they_are_removed() -> None:
    world = World()
    first, second, third = world.add("a", 1), world.add("b", 2), world.add("c", 1)
    assert world.sessions.list() == (first, second, third)
    assert world.sessions.of_agent(1) == (first, third)
    world.sessions.remove("a")
    world.sessions.remove("a")
    assert world.sessions.of_agent(1) == (third,)
    world.sessions.remove("c")
    assert world.sessions.of_agent(1) == ()
    assert world.sessions.list() == (second,)


def test_a_token_ends_only_its_own_sessions() -> None:
    world = World()
    world.add("a", 1, token_id=1)
    world.add("b", 1, token_id=2)
    world.add("c", 1, token_id=1)
    assert world.sessions.close_token(1) == 2
    assert world.ended == [("a", Ending.REVOKED), ("c", Ending.REVOKED)]


def test_an_agent_that_is_removed_loses_all_of_its_sessions() -> None:
    world = World()
    world.add("a", 1)
    world.add("b", 2)
    assert world.sessions.close_agent(1) == 1
    assert world.sessions.close_agent(3) == 0
    assert world.ended == [("a", Ending.REMOVED)]


def test_the_newer_connection_of_one_running_agentk_wins() -> None:
    world = World()
    world.add("old", 1, instance="x")
    world.add("another pod", 1, instance="y")
    world.add("new", 1, instance="x")
    assert world.ended == [("old", Ending.REPLACED)]


def test_repeating_the_instance_id_of_another_agent_ends_nothing() -> None:
    world = World()
    world.add("victim", 1, instance="x")
    world.add("attacker", 2, instance="x")
    assert world.ended == []


def test_it_is_told_which_tokens_have_sessions_and_how_many_have_ended() -> None:
    world = World()
    first, other = world.add("a", 1, token_id=1), world.add("b", 1, token_id=2)
    world.sessions.remove("a")
    world.sessions.remove("a")
    assert world.sessions.ended == 1
    assert not world.sessions.opened_by(first.identity)
    assert world.sessions.opened_by(other.identity)
