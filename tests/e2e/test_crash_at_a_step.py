"""agentk is killed at one write or another of a large plan: it ends where a run ends that nobody disturbed.

Every step is tried by ``make chaos``; here are a few of those where most is at stake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.crashes import killed
from tests.chaos.journey import Journey, journey
from tests.support.api_door import Moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.server import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, started_control_plane: ControlPlane, namespace: str
) -> Iterator[Journey]:
    with journey(tmp_path_factory.mktemp("crash"), started_control_plane, namespace=namespace) as found:
        yield found


@pytest.mark.parametrize(
    ("share", "moment"),
    [(0.0, Moment.AFTER), (0.3, Moment.BEFORE), (0.75, Moment.AFTER), (1.0, Moment.BEFORE)],
)
def test_agentk_killed_at_a_write_ends_where_an_undisturbed_run_ends(
    here: Journey, share: float, moment: Moment
) -> None:
    steps = min(here.steps.values())
    assert killed(here, max(1, int(share * steps)), moment)
