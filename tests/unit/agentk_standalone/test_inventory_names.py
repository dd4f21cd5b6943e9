from __future__ import annotations

import pytest
from click.testing import CliRunner

from agentk.cli_apply import apply
from agentk.standalone.run import inventory_id

LONGEST = "n" * 44


def test_the_longest_name_fits_into_the_labels_of_the_inventorys_configmaps() -> None:
    assert len(f"{inventory_id(LONGEST, 'team-a')}.shard") <= 63


@pytest.mark.parametrize(("name", "refused"), [(LONGEST, False), (f"{LONGEST}n", True)])
def test_a_longer_one_is_refused(name: str, refused: bool) -> None:  # noqa: FBT001 - of a table
    said = CliRunner().invoke(apply, ["--inventory", name, "there-is-no-such-file"]).output
    assert ("at most 44" in said) is refused
