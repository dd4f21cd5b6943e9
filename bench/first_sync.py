"""How fast 2,000 or 20,000 small ConfigMaps, a file each, come into the cluster at first, beside the raw limit.

Each round measures both, one after the other on the same API server, into a fresh namespace each, while a watch of the
benchmark looks on. Results are medians over the rounds.

* Raw: the PATCH requests that agentk sends, made beforehand by its own code, sent by ``bench/load`` (Go) over 32
  connections; from the first request to the last answer.
* Ours: one push of all the files to an agent that is connected and has nothing yet. From the moment kas has fetched the
  commit (its log line ``Revision known``, in milliseconds; the fetch itself depends on the Git server) until the last
  object is seen by the watch. So it contains reading Git, selecting, parsing, streaming, discovery, writing the names
  to the inventory, and applying.
* Applying alone: from the first object that the watch sees to the last one.

The CPU time of both programs, a Git server's and ours in the same window left out, is what the machine's noise touches
least; it counts from the push until the sync is reported healthy, so reports and log lines are in it.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from bench.raw import apply, write_requests
from bench.results import Result
from bench.stage import cpu_seconds, manifests, resident_mib
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stage import Project, Stage
    from tests.support.installation import Agent

OBJECTS = 2_000
MANY = 20_000
AIM = 0.9


def patience(count: int) -> float:
    """Return the seconds that so many objects may take before something is taken to be wrong."""
    return 120.0 + count / 100


@dataclass(frozen=True)
class Round:
    """What one round measured: objects a second, and microseconds of CPU time an object."""

    raw: float
    whole: float
    applying: float
    kas_cpu: float
    agentk_cpu: float


@dataclass(frozen=True)
class Memory:
    """MiB resident of both programs, with everything applied."""

    kas: float
    agentk: float


def sync_first(stage: Stage, project: Project, count: int = OBJECTS) -> tuple[Agent, Round, Memory]:
    """Push so many objects to a new agent; what is raw is left 0."""
    kas = stage.installation.kas
    agent = stage.agent(project)
    project.repository.write(manifests(count, project.agent))
    commit = project.repository.commit()
    processes = kas.process.pid, agent.process.pid
    with ConfigMapWatch(stage.control_plane, stage.kube, project.namespace) as watch:
        before = [cpu_seconds(pid) for pid in processes]
        stage.push(project)
        added = watch.additions(count, within=patience(count))
        kas.wait_sync(agent.name, state="healthy", commit=commit, within=patience(count))
        kas_cpu, agentk_cpu = (cpu_seconds(pid) - spent for pid, spent in zip(processes, before, strict=True))
    whole = count / (added[-1] - revision_known(kas.log, commit))
    applying = (count - 1) / (added[-1] - added[0])
    memory = Memory(*(resident_mib(pid) for pid in processes))
    return agent, Round(0.0, whole, applying, kas_cpu / count * 1e6, agentk_cpu / count * 1e6), memory


def raw(stage: Stage, number: int, count: int = OBJECTS) -> float:
    """Apply as many by the load tool; return objects a second."""
    namespace = stage.namespace(f"raw-{number}")
    requests = stage.directory / f"raw-{number}.jsonl"
    write_requests(manifests(count, f"round-{number}"), namespace, requests)
    with ConfigMapWatch(stage.control_plane, stage.kube, namespace) as watch:
        seconds = apply(requests, stage.control_plane, stage.directory)
        watch.additions(count, within=patience(count))
    return count / seconds


def revision_known(log: Path, commit: str) -> float:
    """Return when kas had fetched a commit of a manifest project."""
    for line in log.read_text().splitlines():
        if '"Revision known"' in line and commit in line:
            return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
    raise LookupError(f"kas has not logged that it knows {commit}")


def measure_many(stage: Stage) -> list[Result]:
    """Measure the larger one, once: each of its two halves takes a quarter of a minute or more."""
    (project,) = stage.projects(1, "many")
    limit = raw(stage, MANY, MANY)
    agent, done, _ = sync_first(stage, project, MANY)
    agent.stop()
    return results([replace(done, raw=limit)], MANY)


def results(rounds: list[Round], count: int = OBJECTS) -> list[Result]:
    """Sum the rounds up."""
    name = f"first_sync_{count}"
    limit = statistics.median(one.raw for one in rounds)
    whole = statistics.median(one.whole for one in rounds)
    applying = statistics.median(one.applying for one in rounds)
    against = f"raw limit {limit:,.0f} objects/s in the same run, aim {AIM}"
    return [
        Result(name, whole, "objects/s", statistics.median(r.whole / r.raw for r in rounds), against),
        Result(
            f"{name}_applying",
            applying,
            "objects/s",
            statistics.median(r.applying / r.raw for r in rounds),
            against.rpartition(",")[0],
        ),
        Result(f"{name}_cpu_kas", statistics.median(r.kas_cpu for r in rounds), "µs/object"),
        Result(f"{name}_cpu_agentk", statistics.median(r.agentk_cpu for r in rounds), "µs/object"),
    ]
