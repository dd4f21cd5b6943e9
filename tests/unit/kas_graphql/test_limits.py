"""What a query may cost."""

from __future__ import annotations

import pytest
from graphql import GraphQLError, parse

from kas.web.graphql.limits import (
    CHANGE_COST,
    MAX_ALIASES,
    MAX_COST,
    MAX_DEPTH,
    MAX_NESTING,
    MAX_TOKENS,
    check_document,
    check_text,
)

AS_DOCUMENTED = """
query ($n: Int) { project(fullPath: "g/p") { clusterAgents(first: $n) { nodes {
  id name createdAt
  tokens { nodes { id name description createdAt lastUsedAt status } }
  connections { nodes { connectedAt connectionId metadata { version commit podName podNamespace } } }
} } } }
"""


def _check(text: str, **variables: object) -> None:
    check_text(text)
    check_document(parse(text, no_location=True), variables)


def _refusal(text: str, **variables: object) -> str:
    with pytest.raises(GraphQLError) as refused:
        _check(text, **variables)
    return refused.value.message


@pytest.mark.parametrize("page", [None, 1, 100, 10**9, -1, "x", True])
def test_the_query_that_everybody_uses_is_within_the_limits(page: object) -> None:
    _check(AS_DOCUMENTED, n=page)


@pytest.mark.parametrize("opening", ["{a", "{a(b:[", "{a(b:{c:", "(", "[", "query($a:[["])
@pytest.mark.parametrize("times", [MAX_NESTING + 1, 900])
def test_nesting_is_refused_before_it_is_parsed(opening: str, times: int) -> None:
    with pytest.raises(GraphQLError, match="levels of brackets"):
        check_text(opening * times)


def test_length_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(GraphQLError, match="tokens"):
        check_text("{" + " a" * MAX_TOKENS + "}")


@pytest.mark.parametrize("text", ['{a(b: "', "{\x00}", "{a}}", '{a "\\x"}', "{a ?}", ""])
def test_what_is_no_graphql_is_an_error_of_graphql(text: str) -> None:
    with pytest.raises(GraphQLError):
        _check(text)


def test_depth_counts_fields_through_fragments() -> None:
    deep = "project{" * MAX_DEPTH + "id" + "}" * MAX_DEPTH
    assert "fields deep" in _refusal("{" + deep + "}")
    split = f"{{ ...on Query {{ ...f }} }} fragment f on Query {{ {deep} }}"
    assert "fields deep" in _refusal(split)
    _check("{" + "project{" * (MAX_DEPTH - 1) + "id" + "}" * (MAX_DEPTH - 1) + "}")


def test_aliases_count_through_fragments() -> None:
    many = " ".join(f"a{index}: id" for index in range(MAX_ALIASES))
    _check(f"{{ project {{ {many} }} }}")
    assert "aliases" in _refusal(f"{{ project {{ {many} b: id }} }}")
    assert "aliases" in _refusal(f"{{ project {{ ...f }} b: project {{ id }} }} fragment f on Project {{ {many} }}")


def test_pages_in_pages_cost_their_product() -> None:
    inner = "clusterAgents { nodes { project { clusterAgents { nodes { tokens { nodes { id } } } } } } }"
    assert "reads" in _refusal(f'{{ project(fullPath: "g/p") {{ {inner} }} }}')
    small = inner.replace("clusterAgents", "clusterAgents(first: 3)")
    _check(f'{{ project(fullPath: "g/p") {{ {small} }} }}')
    variable = inner.replace("clusterAgents", "clusterAgents(first: $n)")
    text = f'query ($n: Int) {{ project(fullPath: "g/p") {{ {variable} }} }}'
    _check(text, n=3)
    assert "reads" in _refusal(text, n=100)
    assert "reads" in _refusal(text)
    assert "reads" in _refusal(text.replace("$n)", "99999999999999999999)"))


def test_many_changes_at_once_cost_too_much() -> None:
    def changes(count: int) -> str:
        one = '%s: clusterAgentDelete(input: {id: "x"}) { errors }'
        return "mutation { " + " ".join(one % f"a{index}" for index in range(count)) + " }"

    _check(changes(MAX_ALIASES))
    assert MAX_ALIASES * CHANGE_COST <= MAX_COST < 2 * MAX_ALIASES * CHANGE_COST
    same = "mutation { " + 'clusterAgentDelete(input: {id: "x"}) { errors } ' * (MAX_COST // CHANGE_COST + 1) + "}"
    assert "reads" in _refusal(same)


def test_fragments_that_double_are_measured_once_each() -> None:
    count = 60
    fragments = [f"fragment f{n} on Project {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count)]
    _refusal(f"{{ project {{ ...f0 }} }} {' '.join(fragments)} fragment f{count} on Project {{ a: id }}")


@pytest.mark.parametrize(
    "fragments", ["fragment f on Project { ...f }", "fragment f on Project { ...g } fragment g on Project { id ...f }"]
)
def test_a_fragment_in_itself_is_refused(fragments: str) -> None:
    assert "contains itself" in _refusal(f"{{ project {{ ...f }} }} {fragments}")
