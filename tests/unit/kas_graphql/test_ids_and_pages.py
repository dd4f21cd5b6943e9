"""Global ids and pages: the pure parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.web.graphql.ids import AGENT, AGENT_TOKEN, global_id, read_global_id
from kas.web.graphql.pages import PAGE_SIZE, PageRequest, page_of


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_a_global_id_reads_back(number: int) -> None:
    assert read_global_id(AGENT, global_id(AGENT, number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "43",
        43,
        None,
        "gid://gitlab/Clusters::Agent/",
        "gid://gitlab/Clusters::Agent/-1",
        "gid://gitlab/Clusters::Agent/1 ",
        "gid://gitlab/Clusters::Agent/1\n",
        "gid://gitlab/Clusters::Agent/1;drop table agents",
        "gid://gitlab/Clusters::Agent/٣",
        "gid://gitlab/Clusters::Agent/" + "9" * 19,
        "gid://gitlab/Clusters::AgentToken/1",
        "gid://gitlab/Project/1",
        "GID://gitlab/Clusters::Agent/1",
    ],
)
def test_what_is_no_agents_id_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="gid://gitlab/Clusters::Agent/43"):
        read_global_id(AGENT, text)


def test_an_id_of_another_kind_is_none() -> None:
    with pytest.raises(ValueError, match="AgentToken"):
        read_global_id(AGENT_TOKEN, global_id(AGENT, 1))


@given(st.integers(0, 250), st.integers(1, 120))
def test_pages_one_after_another_give_every_line_once(count: int, size: int) -> None:
    lines = list(range(count))
    seen: list[int] = []
    after: str | None = None
    while True:
        page = page_of(lines, str, PageRequest(first=size, after=after))
        assert len(page.lines) <= min(size, PAGE_SIZE)
        assert page.count == count
        seen += [line for _, line in page.lines]
        if not page.has_next:
            break
        after = page.lines[-1][0]
    assert seen == lines


def test_the_last_lines_before_a_cursor_can_be_asked_for() -> None:
    whole = page_of(list(range(10)), str, PageRequest())
    cursor = whole.lines[7][0]

    page = page_of(list(range(10)), str, PageRequest(last=3, before=cursor))

    assert [line for _, line in page.lines] == [4, 5, 6]
    assert (page.has_previous, page.has_next) == (True, True)


@pytest.mark.parametrize(
    "asked",
    [
        PageRequest(first=-1),
        PageRequest(last=-1),
        PageRequest(first=1, last=1),
        PageRequest(after="?"),
        PageRequest(after=""),
        PageRequest(before="é"),
        PageRequest(after="/w"),
        PageRequest(after="a"),
    ],
)
def test_a_page_that_cannot_be_is_explained(asked: PageRequest) -> None:
    with pytest.raises(ValueError, match=r"first|last|after|before"):
        page_of([1, 2], str, asked)
