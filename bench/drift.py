"""How long a change by hand lasts: one object is changed 20 times in a row, each time as soon as it is put back.

The clock starts when the API server has answered the patch, which another manager sends, and stops when a watch of the
benchmark sees the value that Git wants. Always the same object: a system that backs off shows it here. After 20
corrections of one object within a minute agentk takes it for a fight and holds back on purpose, so there are 20.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from bench.results import Result
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from bench.stage import Project, Stage

TIMES = 20
AIM_MS = 100.0
NAME = "bench-01999"


def measure(stage: Stage, project: Project) -> list[Result]:
    """Change and wait, again and again; milliseconds."""
    path = f"/api/v1/namespaces/{project.namespace}/configmaps/{NAME}"
    wanted = stage.kube.get(path)["data"]["value"]
    took = []
    with ConfigMapWatch(stage.control_plane, stage.kube, project.namespace) as watch:
        for turn in range(TIMES):
            since = watch.count
            changed = f"by-hand-{turn}"
            stage.kube.patch(path, {"data": {"value": changed}})
            began = time.time()
            _, place = watch.when(NAME, changed, since=since)
            restored, _ = watch.when(NAME, wanted, since=place)
            took.append((restored - began) * 1e3)
    median = statistics.median(took)
    return [
        Result("drift", median, "ms", median / AIM_MS, f"aim < {AIM_MS:g} ms"),
        Result("drift_first", took[0], "ms"),
        Result("drift_tenth", took[9], "ms", took[9] / took[0], "the first"),
        Result("drift_last", took[-1], "ms"),
    ]
