"""How much a project with 20,000 objects delays one with four that the same agent drives.

The small project is changed again and again: all of its four objects in one commit. The clock starts when the webhook
of that commit goes out and stops when a watch of the benchmark has seen the last of them. First with nothing else to
do, then while the huge project's first sync runs, from its push until its last object is there. Both programs, the API
server and the benchmark share the processors with the huge sync, so not all of the delay is waiting for turns.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from bench.first_sync import patience
from bench.results import Result
from bench.stage import manifest, manifests
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from bench.stage import Project, Stage

HUGE = 20_000
SMALL = 4
ALONE = 10
AIM_MS = 1_000.0


def measure(stage: Stage) -> list[Result]:
    """Measure alone, then beside the huge one."""
    huge, small = stage.shared_agent("fairness", ("huge", "small"))
    stage.configure()
    agent = stage.agent(small)
    with (
        ConfigMapWatch(stage.control_plane, stage.kube, small.namespace) as seen,
        ConfigMapWatch(stage.control_plane, stage.kube, huge.namespace) as coming,
    ):
        _change(stage, small, seen, 0)  # the first creates them
        alone = [_change(stage, small, seen, turn) for turn in range(1, ALONE + 1)]
        huge.repository.write(manifests(HUGE, "huge"))
        huge.repository.commit()
        stage.push(huge)
        beside: list[float] = []
        while coming.count < HUGE:
            beside.append(_change(stage, small, seen, ALONE + 1 + len(beside)))
        coming.additions(HUGE, within=patience(HUGE))
    agent.stop()
    before, during, worst = statistics.median(alone), statistics.median(beside), max(beside)
    return [
        Result("fairness", worst - before, "ms", (worst - before) / AIM_MS, "worst delay, aim < 1,000 ms"),
        Result("fairness_alone", before, "ms", None, "median"),
        Result("fairness_beside", during, "ms", during / before, f"alone; median of {len(beside)} changes"),
        Result("fairness_worst", worst, "ms", worst / before, "alone"),
    ]


def _change(stage: Stage, project: Project, seen: ConfigMapWatch, turn: int) -> float:
    """Change every object of the small project; return the milliseconds until the last one has its new value."""
    value = f"turn-{turn}"
    project.repository.write({f"manifests/cm-{number}.yaml": manifest(number, value) for number in range(SMALL)})
    project.repository.commit()
    project.repository.push()
    since = seen.count
    began = time.time()
    stage.installation.kas.webhook(project.name)
    last = max(seen.when(f"bench-{number:05}", value, since=since, within=120.0)[0] for number in range(SMALL))
    return (last - began) * 1e3
