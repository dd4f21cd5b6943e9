"""What the guides show of kas.yaml and config.yaml is accepted as it stands there."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest
import yaml

from agentlink.manifests.model import Limits
from kas.desired.agent_config import parse_agent_config
from kas.desired.agent_schema import ManifestProject
from kas.settings import load_settings
from kas.settings.model import Settings
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTINGS = frozenset(Settings.model_fields)
OF_A_PROJECT = frozenset(ManifestProject.model_fields) - {"id"}
OTHER = {"install.md": {"database", "image"}}
"""Keys of the Helm charts' values, which have names of their own for the same."""


def blocks() -> list[tuple[str, str, set[str]]]:
    """Return each block with where it stands and its top-level keys."""
    found = []
    for document in DOCUMENTS:
        for number, block in enumerate(BLOCK.findall(document.read_text()), start=1):
            text = textwrap.dedent(block)
            value = next(yaml.safe_load_all(text))
            if isinstance(value, dict) and not OTHER.get(document.name, set()) & value.keys():
                found.append((f"{document.name} {number}", text, set(value)))
    return found


BLOCKS = blocks()


@pytest.mark.parametrize(("where", "text"), [(w, t) for w, t, keys in BLOCKS if keys <= SETTINGS])
def test_settings_of_kas_are_accepted(where: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text(text)
    assert load_settings(file, {}), where


def accepted(where: str, text: str) -> None:
    config, warnings = parse_agent_config(text.encode(), path="config.yaml", own_project="g/c", limits=Limits())
    assert (bool(config), warnings) == (True, ()), where


@pytest.mark.parametrize(("where", "text"), [(w, t) for w, t, keys in BLOCKS if "gitops" in keys])
def test_configurations_of_agents_are_accepted(where: str, text: str) -> None:
    accepted(where, text)


@pytest.mark.parametrize(("where", "text"), [(w, t) for w, t, keys in BLOCKS if keys <= OF_A_PROJECT])
def test_parts_of_a_project_are_accepted(where: str, text: str) -> None:
    accepted(where, "gitops:\n  manifest_projects:\n  - id: g/p\n" + textwrap.indent(text, "    "))


def test_there_is_something_of_each() -> None:
    assert sum(keys <= SETTINGS for _, _, keys in BLOCKS) >= 5
    assert sum("gitops" in keys for _, _, keys in BLOCKS) >= 2
    assert sum(keys <= OF_A_PROJECT for _, _, keys in BLOCKS) >= 4
