"""The setting that says who may read what: as it is written, and mistakes in it, which open nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_may_read_more_by_default() -> None:
    assert load_settings(None, {}).project_access == {}


def test_it_is_lists_of_paths_by_path(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text("project_access:\n  alpha/config: [beta/app, gamma]\n  alpha: []\n  '*': ['*']\n")
    assert load_settings(file, {}).project_access == {
        "alpha/config": ("beta/app", "gamma"),
        "alpha": (),
        "*": ("*",),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("project_access:\n  alpha: beta\n", "kas.yaml:2: project_access.alpha: "),
        ("project_access:\n  alpha:\n", "kas.yaml:2: project_access.alpha: "),
        ("project_access:\n  alpha: [beta/*]\n", "kas.yaml:2: project_access.alpha.0: expected the path of a project"),
        ("project_access:\n  alpha//: [beta]\n", "kas.yaml:2: project_access.alpha//"),
        ("project_access:\n  alpha: [1]\n", "kas.yaml:2: project_access.alpha.0: "),
        ("project_access:\n  alpha: [a]\n  alpha: [b]\n", "kas.yaml:3: project_access.alpha: is set twice"),
        ("project_access:\n", "kas.yaml:1: project_access: "),
        ("project_access: [alpha]\n", "kas.yaml:1: project_access: "),
        (
            "project_accesses: {}\n",
            "kas.yaml:1: project_accesses: there is no such setting; did you mean project_access?",
        ),
    ],
)
def test_a_mistake_keeps_kas_from_starting(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, {})
    assert expected in str(caught.value)
