from __future__ import annotations

import pytest

from kas.store.records import SyncState
from kas.web.errors import ApiError
from kas.web.queries import (
    AgentSpec,
    NewAgent,
    NewToken,
    Query,
    is_project_path,
    read_id,
    read_new_agent,
    read_new_token,
    read_query,
)

ALL = frozenset({"agent", "project", "state", "type", "all", "limit", "watch"})


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ({}, Query()),
        ({"agent": "a"}, Query(agent=AgentSpec(None, "a"))),
        ({"agent": "group/config:a"}, Query(agent=AgentSpec("group/config", "a"))),
        ({"state": "failed", "all": "1", "limit": "5"}, Query(state=SyncState.FAILED, everything=True, limit=5)),
        ({"type": "Warning", "watch": "true"}, Query(event_type="Warning", watch=True)),
    ],
)
def test_parameters_are_read(given: dict[str, str], query: Query) -> None:
    assert read_query(given, ALL) == query


@pytest.mark.parametrize(
    "given",
    [
        {"stat": "failed"},
        {"state": "FAILED"},
        {"type": "normal"},
        {"all": "yes"},
        {"limit": "0"},
        {"limit": "10001"},
        {"limit": "1" * 5000},
        {"limit": "٣"},
        {"watch": ""},
    ],
)
def test_a_wrong_parameter_is_refused_with_what_was_expected(given: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        read_query(given, ALL)

    assert refused.value.status == 400
    assert refused.value.hint
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["group/app", "app", "a.b/c_d+e-f", "a/b/c/d", ".hidden/x", "..x/y"])
def test_a_projects_path(text: str) -> None:
    assert is_project_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "a/./b",
        "-a",
        "a b",
        "a\n",
        "ä/b",
        "a/" * 600 + "b",
    ],
)
def test_what_is_no_projects_path(text: str) -> None:
    assert not is_project_path(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", "٣", "1" * 30])
def test_an_id_is_a_number(text: str) -> None:
    with pytest.raises(ApiError):
        read_id(text)


def test_a_new_token_needs_no_words() -> None:
    assert read_new_token(b"{}") == NewToken()
    assert read_new_token(b'{"name": "west", "description": "x"}') == NewToken("west", "x")


@pytest.mark.parametrize("body", [b'{"name": "\\u001b"}', b'{"name": null}', b'{"name": "' + b"x" * 300 + b'"}'])
def test_a_new_token_takes_only_words(body: bytes) -> None:
    with pytest.raises(ApiError):
        read_new_token(body)


@pytest.mark.parametrize("name", ["a", "a-b", "7", "x" * 63])
def test_an_agents_name_is_a_dns_label(name: str) -> None:
    assert read_new_agent(b'{"project": "g/p", "name": "' + name.encode() + b'"}') == NewAgent("g/p", name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a.b", "x" * 64, "../a"])
def test_what_is_no_agents_name(name: str) -> None:
    with pytest.raises(ApiError):
        read_new_agent(b'{"project": "g/p", "name": "' + name.encode() + b'"}')
