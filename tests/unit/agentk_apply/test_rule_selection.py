from __future__ import annotations

import pytest

from agentk.apply.model import ProjectSettings, Snapshot
from agentk.apply.rules.selection import changed_keys, selection_of, told


def test_it_is_what_kas_selected_by_and_what_the_configuration_says_of_places() -> None:
    snapshot = Snapshot(1, "c", "s", b"d", {}, selected_by=(("paths", "1"), ("ref", "2")))
    settings = ProjectSettings(1, "p", "7-1", default_namespace="web", allowed_namespaces=("web", "api"))
    assert selection_of(snapshot, settings) == {
        "paths": "1",
        "ref": "2",
        "default_namespace": "web",
        "allowed_namespaces": "api,web",
    }


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        (None, ()),
        ({"paths": "1", "ref": "2"}, ()),
        ({"paths": "0", "ref": "2"}, ("paths",)),
        ({"paths": "0", "ref": "0"}, ("paths", "ref")),
        ({"ref": "2"}, ()),
        ({"paths": "1", "ref": "2", "of an older kas": "3"}, ()),
        ({"paths": "1", "ref": "2", "left_out": "4"}, ()),
    ],
)
def test_only_what_is_known_to_be_other_than_before_has_changed(
    before: dict[str, str] | None, changed: tuple[str, ...]
) -> None:
    assert changed_keys(before, {"paths": "1", "ref": "2"}) == changed


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        (None, ("left_out",)),
        ({"paths": "1"}, ("left_out",)),
        ({"paths": "1", "left_out": "4"}, ("left_out",)),
        ({"paths": "0", "left_out": "4"}, ("left_out", "paths")),
        ({"paths": "1", "left_out": "3"}, ()),
    ],
)
def test_files_that_are_left_out_count_unless_they_are_known_to_be_the_same(
    before: dict[str, str] | None, changed: tuple[str, ...]
) -> None:
    assert changed_keys(before, {"paths": "1", "left_out": "3"}) == changed


def test_it_is_told_what_changed() -> None:
    assert told(("paths", "ref")) == "paths and ref in config.yaml changed"
    assert told(("left_out", "paths")).startswith(
        "paths in config.yaml changed, and other files than before are left out"
    )
