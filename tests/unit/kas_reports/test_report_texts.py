"""Words from outside: bounded and inert."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.reports.texts import inert


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Deployment nginx is ready", "Deployment nginx is ready"),
        ("größer, 大きい, 🚀", "größer, 大きい, 🚀"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\0b", "a\\x00b"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("one\ntwo", "one\\x0atwo"),
        ("bad \ud800 half", "bad \\ud800 half"),
    ],
)
def test_characters_that_act_are_written_out(text: str, expected: str) -> None:
    assert inert(text, 100) == expected


def test_line_breaks_stay_where_they_are_allowed() -> None:
    assert inert("one\ntwo\r", 100, lines=True) == "one\ntwo\\x0d"


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_nothing_is_longer_than_its_limit_and_all_of_it_can_be_stored(text: str, limit: int) -> None:
    shown = inert(text, limit)
    assert len(shown) <= limit
    assert "\0" not in shown
    shown.encode("utf-8")


def test_a_cut_is_marked() -> None:
    assert inert("abcdef", 4) == "abc…"
    assert inert("abcd", 4) == "abcd"
