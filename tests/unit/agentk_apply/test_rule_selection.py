from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.model import ProjectSettings, Snapshot
from agentk.apply.names import SELECTED_BY
from agentk.apply.remembered import annotation_of, selection_in
from agentk.apply.rules.selection import changed_keys, selection_of, told
from agentk.apply.seal import Seal


def test_it_is_what_kas_selected_by_and_what_the_configuration_says_of_places() -> None:
    snapshot = Snapshot(1, "c", "s", b"d", {}, selected_by=(("paths", "1"), ("ref", "2")))
    settings = ProjectSettings(1, "p", "7-1", default_namespace="web", allowed_namespaces=("web", "api"))
    selection = selection_of(snapshot, settings)
    assert selection.keys() == {"paths", "ref", "default_namespace", "allowed_namespaces"}
    same = replace(settings, allowed_namespaces=("api", "web"))
    assert changed_keys(selection, selection_of(snapshot, same)) == ()
    for key, other in (
        ("default_namespace", replace(settings, default_namespace="api")),
        ("allowed_namespaces", replace(settings, allowed_namespaces=("web",))),
    ):
        assert changed_keys(selection, selection_of(snapshot, other)) == (key,)


def test_an_inventory_remembers_it_and_believes_nobody_else() -> None:
    seal, other = Seal(bytes(32), "7-1"), Seal(bytes(32), "7-2")
    selection = {"paths": "1", "ref": "2"}
    annotations = annotation_of(selection, seal)
    (value,) = annotations.values()
    assert value is not None
    assert selection_in({SELECTED_BY: value}, seal) == selection
    assert selection_in({SELECTED_BY: value.replace('"1"', '"3"')}, seal) is None
    assert selection_in({SELECTED_BY: value}, other) is None
    assert selection_in({SELECTED_BY: value}, None) is None
    assert selection_in({}, seal) is None
    assert annotation_of(None, seal) == annotation_of(selection, None) == {}


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
