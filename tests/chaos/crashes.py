"""What may happen at a write, each followed by the comparison with a journey on which nothing happened.

Every function takes the number of the write, the first being 1, and tells whether the plan came to it.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from tests.chaos.journey import WITHIN
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.chaos.journey import Journey
    from tests.controlplane.server import ControlPlane
    from tests.support.api_door import Moment
    from tests.support.installation import Agent


def killed(here: Journey, step: int, moment: Moment) -> bool:
    """Kill agentk with SIGKILL, and start it again."""
    before = here.look()
    commit, struck = here.struck(step, moment, here.agent.kill)
    if struck:
        forgotten = here.look().forgotten()
        assert not forgotten, f"nobody knows of {forgotten}"
        here.agent.start(connected=False)
    here.arrive(commit)
    here.check(before=before)
    return struck


def restarted(here: Journey, step: int, moment: Moment, plane: ControlPlane) -> bool:
    """End the API server as a crash does, and start it again; agentk goes on by itself."""
    before = here.look()
    commit, struck = here.struck(step, moment, plane.stop_api_server)
    if struck:
        plane.start_api_server()
    here.arrive(commit)
    here.check(before=before)
    return struck


def frozen(here: Journey, step: int, moment: Moment, second: Agent, *, lease_seconds: int) -> bool:
    """Stop the leader with a write, or its answer, on its way, which arrives when the other replica has done it all."""
    before = here.look()
    second.start("--lease-seconds", str(lease_seconds), connected=False)
    wait_until(lambda: "Another replica leads" in second.log.read_text(), what="the second one stands by")
    release = threading.Event()
    try:
        commit, struck = here.struck(
            step, moment, lambda: here.agent.process.send_signal(signal.SIGSTOP), release=release
        )
        here.arrive(commit)
    finally:
        here.agent.process.send_signal(signal.SIGCONT)
        release.set()
    # The write that comes late is a change like anybody's: it is put right by the one who leads now.
    wait_until(lambda: here.is_there(before=before), what="all is as it should be", within=WITHIN)
    second.stop()
    return struck
