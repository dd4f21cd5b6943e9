"""docs/threat-model.md: each hostile input names the test that drives the programs into it, or what it waits for."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs/threat-model.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
PATH = re.compile(r"`(tests/[\w/]+\.py)`")
LAST = 52

ROWS = {int(number): (what, tests) for number, what, tests in ROW.findall(DOCUMENT.read_text())}


def test_every_number_has_one_row() -> None:
    assert sorted(ROWS) == list(range(1, LAST + 1))
    assert len(ROW.findall(DOCUMENT.read_text())) == LAST


@pytest.mark.parametrize("number", sorted(ROWS))
def test_a_row_names_tests_that_exist_or_the_feature_it_waits_for(number: int) -> None:
    _, named = ROWS[number]
    paths = PATH.findall(named)

    assert paths or named.startswith("comes with "), named
    for path in paths:
        assert (ROOT / path).is_file(), path
        assert re.search(r"^ *(async )?def test_", (ROOT / path).read_text(), re.MULTILINE), path


def test_every_other_test_that_it_names_exists() -> None:
    for path in PATH.findall(DOCUMENT.read_text()):
        assert (ROOT / path).is_file(), path
