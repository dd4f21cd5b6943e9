"""How memory, and the work for one changed object, grow with the number of objects: from 100 to 50,000.

One project grows in steps; at each, all that is new is pushed in one commit, and when kas shows it as healthy the
memory of both programs is read: what they keep, and what working on it has left behind. Then one file is changed a few
times: processor time of agentk from the push until the sync is healthy again, and milliseconds until a watch sees it.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.first_sync import patience
from bench.results import Result
from bench.stage import cpu_seconds, manifest, manifests, resident_mib
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from bench.stage import Project, Stage
    from tests.support.installation import Agent

SIZES = (100, 1_000, 10_000, 50_000)
CHANGES = 8
AIM_BYTES = 1_000.0


@dataclass(frozen=True)
class Step:
    """At one size: MiB of both programs; milliseconds of processor time and from push to live for one change."""

    objects: int
    kas: float
    agentk: float
    cpu: float
    live: float


def measure(stage: Stage) -> list[Result]:
    """Let a project grow."""
    (project,) = stage.projects(1, "growth")
    agent = stage.agent(project)
    steps = [_grow(stage, project, agent, size) for size in SIZES]
    agent.stop()
    return _results({step.objects: step for step in steps})


def _grow(stage: Stage, project: Project, agent: Agent, size: int) -> Step:
    kas = stage.installation.kas
    project.repository.write(manifests(size, "grown"))
    commit = project.repository.commit()
    stage.push(project)
    kas.wait_sync(agent.name, state="healthy", commit=commit, within=patience(size))
    memory = resident_mib(kas.process.pid), resident_mib(agent.process.pid)
    cpu, live = [], []
    with ConfigMapWatch(stage.control_plane, stage.kube, project.namespace) as watch:
        for turn in range(CHANGES):
            number = turn * 11
            value = f"change-{size}-{turn}"
            file = f"manifests/team-{number // 100:02}/cm-{number:05}.yaml"
            project.repository.write({file: manifest(number, value)})
            commit = project.repository.commit()
            project.repository.push()
            since, spent, began = watch.count, cpu_seconds(agent.process.pid), time.time()
            kas.webhook(project.name)
            seen, _ = watch.when(f"bench-{number:05}", value, since=since)
            kas.wait_sync(agent.name, state="healthy", commit=commit)
            live.append((seen - began) * 1e3)
            cpu.append((cpu_seconds(agent.process.pid) - spent) * 1e3)
    return Step(size, *memory, statistics.fmean(cpu), statistics.median(live))


def _results(steps: dict[int, Step]) -> list[Result]:
    few, many = steps[1_000], steps[SIZES[-1]]
    more = many.objects - few.objects
    agentk, kas = ((getattr(many, name) - getattr(few, name)) * 2**20 / more for name in ("agentk", "kas"))
    return [
        Result("growth", agentk, "B/object", agentk / AIM_BYTES, "agentk's memory beyond 1,000 objects, aim < 1,000"),
        Result("growth_kas", kas, "B/object", None, "memory of kas beyond 1,000 objects"),
        Result("growth_change_cpu", many.cpu, "ms", many.cpu / few.cpu, f"{few.cpu:.0f} ms with 1,000 objects"),
        Result("growth_change_live", many.live, "ms", many.live / few.live, f"{few.live:.0f} ms with 1,000 objects"),
        *(
            Result(f"growth_{step.objects}", step.agentk, "MiB", None, f"{step.cpu:.0f} ms of agentk for one change")
            for step in steps.values()
        ),
    ]
