"""Every step of a plan of 200 objects, each way to disturb it there, and very many objects: ``make chaos``.

``python -m tests.chaos [killed|restarted|frozen|many ...] [--every N] [--first N]`` tries some of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.crashes import frozen, killed, restarted
from tests.chaos.journey import Journey, journey
from tests.chaos.many import many
from tests.controlplane.cluster import open_control_plane
from tests.support.api_door import Moment
from tests.support.driven import Driven, installed
from tests.support.installation import Agent
from tests.support.kube import Kube

if TYPE_CHECKING:
    from tests.controlplane.server import ControlPlane

LEASE_SECONDS = 4
MANY, THOUSAND = "many", 1000
WAYS = {"killed": 1, "restarted": 20, "frozen": 40, MANY: 0}
"""Which there are, and at every how many steps each is tried unless somebody says otherwise."""


def main() -> None:
    """Try what the command line says, and end at the first difference."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    arguments.add_argument("ways", nargs="*", choices=[*WAYS, []], help="what to try; all of it by default")
    arguments.add_argument("--every", type=int, default=0, help="try every how many steps")
    arguments.add_argument("--first", type=int, default=1, help="the step to begin with")
    chosen = arguments.parse_args()
    for way in chosen.ways or WAYS:
        if way == MANY:
            _thousands()
            continue
        with (
            tempfile.TemporaryDirectory(prefix="agentk-chaos-") as directory,
            open_control_plane() as plane,
            journey(Path(directory), plane, lease_seconds=LEASE_SECONDS if way == "frozen" else 0) as here,
        ):
            tried = _try(way, here, plane, Path(directory), first=chosen.first, every=chosen.every or WAYS[way])
            _say(f"{way}: {tried} passed, 0 failed")


def _thousands() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="agentk-chaos-") as directory,
        open_control_plane() as plane,
        installed(Path(directory), plane.kubeconfig) as here,
    ):
        kube = Kube(plane.kubeconfig)
        began = time.monotonic()
        try:
            many(
                here,
                Driven(here.kas, "many", "own/many", here.git.create("own/many"), kube, "default"),
                deployments=THOUSAND,
                namespaces=THOUSAND,
            )
        finally:
            kube.close()
        _say(f"{MANY}: 1 passed, 0 failed ({time.monotonic() - began:.1f} s)")


def _try(way: str, here: Journey, plane: ControlPlane, directory: Path, *, first: int, every: int) -> int:
    tried = 0
    for step in range(first, max(here.steps.values()) + 1, every):
        for moment in Moment:
            # Twice, once in each direction: going there and coming back are two plans.
            for _ in range(2):
                began = time.monotonic()
                if way == "killed":
                    struck = killed(here, step, moment)
                elif way == "restarted":
                    struck = restarted(here, step, moment, plane)
                else:
                    struck = frozen(here, step, moment, _second(here, directory), lease_seconds=LEASE_SECONDS)
                tried += 1
                what = f"at write {step}, {moment}" if struck else f"never: the plan has no write {step}"
                seconds = time.monotonic() - began
                _say(f"{way} {what}, towards {here.side}: as it should be ({seconds:.1f} s)")
    return tried


def _second(here: Journey, directory: Path) -> Agent:
    """Return a second replica; the one that led last is then the other one."""
    first = here.agent
    kubeconfig = here.door.kubeconfig
    name = f"second-{time.monotonic_ns()}"
    second = Agent(
        here.driven.kas, "chaos", project="own/chaos", kubeconfig=kubeconfig, directory=directory / name, register=False
    )
    second.token_file.write_text(first.token_file.read_text())
    return second


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
