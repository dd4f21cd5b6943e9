"""How long one changed file among 2,000 takes from push to visible in the cluster, with the webhook.

The clock starts when ``git push`` has returned, which is when the webhook is sent, and stops when a watch of the
benchmark sees the new value. ``_with_push`` starts it before ``git push``. The hops between are read off what the
programs note: kas has fetched (its log line ``Revision known``) and agentk has the answer of the API server (its own
line ``Synced`` is written after the whole sync, so the watch tells).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.first_sync import OBJECTS, revision_known
from bench.results import Result
from bench.stage import manifest
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from bench.stage import Project, Stage

PUSHES = 25
AIM_MS = 200.0


@dataclass(frozen=True)
class Push:
    """Seconds: of the push, from then to the fetched commit, from there to the cluster."""

    push: float
    fetch: float
    rest: float


def measure(stage: Stage, project: Project) -> list[Result]:
    """Push again and again, one file at a time; medians in milliseconds."""
    kas = stage.installation.kas
    pushes = []
    with ConfigMapWatch(stage.control_plane, stage.kube, project.namespace) as watch:
        for turn in range(PUSHES):
            number = turn * 37 % OBJECTS
            value = f"push-{turn}"
            project.repository.write(
                {f"manifests/team-{number // 100:02}/cm-{number:05}.yaml": manifest(number, value)}
            )
            commit = project.repository.commit()
            since = watch.count
            began = time.time()
            project.repository.push()
            pushed = time.time()
            kas.webhook(project.name)
            live, _ = watch.when(f"bench-{number:05}", value, since=since)
            kas.wait_sync(project.agent, state="healthy", commit=commit)
            known = revision_known(kas.log, commit)
            pushes.append(Push(pushed - began, known - pushed, live - known))

    def median(seconds: list[float]) -> float:
        return statistics.median(seconds) * 1e3

    live_ms = median([one.fetch + one.rest for one in pushes])
    return [
        Result("push_to_live", live_ms, "ms", live_ms / AIM_MS, f"aim < {AIM_MS:g} ms"),
        Result("push_to_live_with_push", median([one.push + one.fetch + one.rest for one in pushes]), "ms"),
        Result("push_to_live_fetch", median([one.fetch for one in pushes]), "ms", None, "webhook and git fetch"),
        Result("push_to_live_rest", median([one.rest for one in pushes]), "ms", None, "parse, stream, plan, apply"),
    ]
