"""A short run of the chaos that ``make chaos-kas`` makes for as long as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.replicas import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(900)
async def test_whatever_breaks_all_agents_end_at_the_newest_revision_and_no_report_is_lost(tmp_path: Path) -> None:
    done = await run(tmp_path, agents=12, seconds=8, seed=6)
    assert done.faults
    assert done.pushes > 1
