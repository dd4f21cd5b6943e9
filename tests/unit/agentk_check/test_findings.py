"""How findings are written."""

from __future__ import annotations

import json

import pytest

from agentk.check.cluster import _judge_version
from agentlink.findings import Level, as_json, as_text, exit_code, failed, ok, warning


def test_text_groups_by_area_aligns_and_counts() -> None:
    text = as_text(
        [ok("kas", "name", "is there"), warning("x", "y", "z"), failed("kas", "certificate", "is old", "renew it")]
    )

    assert text.splitlines() == [
        "kas",
        "  OK       name         is there",
        "  FAILED   certificate  is old",
        "                        -> renew it",
        "x",
        "  WARNING  y            z",
        "1 OK, 1 WARNING, 1 FAILED",
    ]


def test_what_a_server_says_cannot_act_on_the_terminal() -> None:
    text = as_text([failed("kas", "token", "\x1b[2J\nnot a line of its own")])

    assert "\x1b" not in text
    assert len(text.splitlines()) == 3
    assert "\x1b" not in as_json([failed("kas", "token", "\x1b[2J")])


def test_only_a_failure_makes_the_exit_code_one() -> None:
    assert exit_code([]) == 0
    assert exit_code([ok("a", "b", "c"), warning("a", "b", "c")]) == 0
    assert exit_code([ok("a", "b", "c"), failed("a", "b", "c")]) == 1


def test_json_says_all_of_it() -> None:
    assert json.loads(as_json([failed("kas", "token", "refused", "make one")])) == {
        "ok": False,
        "findings": [{"area": "kas", "check": "token", "level": "FAILED", "message": "refused", "remedy": "make one"}],
    }


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("v1.21.14", Level.FAILED),
        ("v1.22.0", Level.OK),
        ("v1.36.3", Level.OK),
        ("v1.31.2-gke.1384000", Level.OK),
        ("v1.37.0", Level.WARNING),
        ("v2.0.0", Level.WARNING),
        ("", Level.WARNING),
    ],
)
def test_the_api_servers_version_is_judged(version: str, level: Level) -> None:
    assert _judge_version("https://cluster", version).level is level
