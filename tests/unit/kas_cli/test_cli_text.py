from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kas.cli.text import age, cut, inert, json_text, pad, span, width, yaml_text

HOSTILE = "\x1b[31mred\x07 \u202edesrever\u2066 \x9b1m \u200btail\U000e0041\ufeff"
ACTIVE = set("\x1b\x07\x9b\u202e\u2066\u200b\U000e0041\ufeff")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("grüße 日本", "grüße 日本"),
        ("two\nlines\tand\r\nmore ", "two lines and more"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_text_is_one_line_that_cannot_act(text: str, shown: str) -> None:
    assert inert(text) == shown


@given(st.text())
def test_whatever_the_text_its_inert_form_is_printable_and_stays_as_it_is(text: str) -> None:
    shown = inert(text)

    assert "\n" not in shown
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert inert(shown) == shown


def test_json_is_inert_and_still_the_same_value() -> None:
    value = {"message": HOSTILE, "name": "grüße"}

    text = json_text(value)

    assert not ACTIVE & set(text)
    assert "grüße" in text
    assert json.loads(text) == value


def test_yaml_is_inert_and_still_the_same_value() -> None:
    value = {"message": HOSTILE, "name": "grüße"}

    text = yaml_text(value)

    assert not ACTIVE & set(text)
    assert yaml.safe_load(text) == value
    assert "grüße" in yaml_text({"name": "grüße"})


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("🚀", 2)])
def test_width_counts_terminal_cells(text: str, cells: int) -> None:
    assert width(text) == cells
    assert width(pad(text, 10)) == 10


@pytest.mark.parametrize(("text", "cells", "shown"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…")])
def test_what_does_not_fit_is_cut(text: str, cells: int, shown: str) -> None:
    assert cut(text, cells) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 61, "3h1m"),
        (9 * 3600 + 1800, "9h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (9 * 86400, "9d"),
        (3 * 365 * 86400 + 86400, "3y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations_grow_coarser(seconds: int, shown: str) -> None:
    assert span(timedelta(seconds=seconds)) == shown


def test_an_age_is_relative_to_the_given_now() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    assert age("2026-11-21T11:59:30.000Z", now) == "30s"
    assert age(None, now) == "-"
