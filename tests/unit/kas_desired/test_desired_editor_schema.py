"""The schema for editors, and the guide, know every key that kas knows."""

from __future__ import annotations

import re

import pytest

from agentk.apply import names
from kas.desired.agent_schema import File, ManifestProject
from kas.desired.editor_schema import editor_schema, text
from tests.support.paths import ROOT

GUIDE = (ROOT / "docs" / "configuration.md").read_text()
NOT_WRITTEN_BY_PEOPLE = {
    names.AGENT_LABEL,
    names.OWNING_INVENTORY,
    names.INVENTORY_LABEL,
    names.INVENTORY_SHARD,
    names.INVENTORY_SHARDS,
    names.OWNING_PROJECT,
    names.OWNING_CONFIGURATION,
    names.OWNING_AGENT,
    names.IDENTITY_SEAL,
    names.SELECTED_BY,
}


def test_the_schema_for_editors_is_up_to_date() -> None:
    assert (ROOT / "docs" / "config.schema.json").read_text() == text(), "run `make schema`"


def test_the_schema_knows_a_mistyped_key_and_durations_as_they_are_written() -> None:
    schema = editor_schema()
    project = schema["$defs"]["ManifestProject"]
    assert set(project["properties"]) == set(ManifestProject.model_fields)
    assert project["additionalProperties"] is False
    assert set(schema["properties"]) == set(File.model_fields)
    pattern = project["properties"]["prune_timeout"]["pattern"]
    assert all(re.match(pattern, good) for good in ("0s", "1h30m", "1.5s", "0"))
    assert not any(re.match(pattern, bad) for bad in ("", "5", "5 m", "1d"))


@pytest.mark.parametrize("key", sorted(ManifestProject.model_fields))
def test_the_guide_has_every_key_of_a_project(key: str) -> None:
    assert f"| `{key}` |" in GUIDE


@pytest.mark.parametrize(
    "annotation",
    sorted(
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "/" in value and value not in NOT_WRITTEN_BY_PEOPLE
    ),
)
def test_the_guide_has_every_annotation(annotation: str) -> None:
    assert f"| `{annotation}` |" in GUIDE
