"""What cannot be seen is remembered by place, and told when it changes."""

from __future__ import annotations

from agentk.apply.model import Kind, Refusal
from agentk.gitops.sight import Sight
from agentlink.refs import ObjectRef

GATE = Kind("x.io", "v1", "Gate", "gates", namespaced=True)
HERE, THERE = (ObjectRef("x.io", "Gate", namespace, "a") for namespace in ("here", "there"))
OTHER = ObjectRef("y.io", "Gate", "here", "a")
AWAY = Refusal("ServiceUnavailable", "its server is away")


def test_a_kind_that_cannot_be_looked_at_hides_its_objects_where_that_is_so_until_it_can() -> None:
    told: list[Kind] = []
    sight = Sight(told.append)
    assert sight.is_clear

    sight.lose(GATE, "here", AWAY)
    sight.lose(GATE, "here", AWAY)

    assert told == [GATE]
    assert [sight.unseen(ref) for ref in (HERE, THERE, OTHER)] == [AWAY, None, None]
    assert not sight.is_whole

    sight.lose(GATE, "", AWAY)
    assert sight.unseen(THERE) == AWAY
    for place in ("here", ""):
        sight.regain(GATE, place, was_away=False)
    assert told == [GATE] * 4
    assert sight.unseen(HERE) is None
    assert sight.is_clear


def test_a_kind_that_is_not_served_any_more_is_named_with_the_remedy_until_it_is() -> None:
    sight = Sight(lambda _: None)

    sight.end(GATE, "")

    why = sight.unseen(HERE)
    assert why is not None
    assert why.reason == "KindNotServed"
    assert "x.io/v1 Gate" in why.message
    assert "install its CustomResourceDefinition" in why.message
    assert sight.unserved == {("x.io", "Gate")}
    sight.regain(GATE, "", was_away=False)
    assert not sight.unserved


def test_a_kind_that_may_not_be_watched_is_told_once_for_each_reason_and_still_seen() -> None:
    told: list[Kind] = []
    sight = Sight(told.append)

    for why in ("may not", "may not", "may not either"):
        sight.blind(GATE, why)

    assert len(told) == 2
    assert sight.unwatched == {("x.io", "Gate"): "may not either"}
    assert sight.is_whole
    assert not sight.is_clear


def test_a_kind_that_was_away_for_a_moment_is_news_for_who_waits_for_it() -> None:
    told: list[Kind] = []
    Sight(told.append).regain(GATE, "", was_away=True)
    assert told == [GATE]
