"""How long 100 projects of four objects take when one agent gets them all at once.

The repositories have their commits and the agent is connected with nothing to do. The clock starts when the webhook of
the configuration that names the 100 projects goes out, and stops when a watch of the benchmark has seen the last of the
400 objects. ``_fetched`` is how much of it kas takes to have fetched the last of 100 repositories it has never seen.
``_cpu_*`` is the processor time of each program, of kas with its git's, by which runs on a busy machine compare.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING

from bench.first_sync import patience
from bench.results import Result
from bench.stage import cpu_seconds, manifest
from bench.watching import ConfigMapWatch

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stage import Stage

PROJECTS = 100
OBJECTS = 4
AIM_SECONDS = 2.0
AGENT = "many-projects"


def measure(stage: Stage) -> list[Result]:
    """Let 100 projects come at once."""
    namespace = stage.namespace(AGENT)
    (first,) = stage.shared_agent(AGENT, ("many-first",), namespace)
    stage.configure()
    agent = stage.agent(first)
    names = [f"many-{number:03}" for number in range(PROJECTS)]
    projects = stage.shared_agent(AGENT, names, namespace)
    for place, project in enumerate(projects):
        numbers = range(place * OBJECTS, (place + 1) * OBJECTS)
        project.repository.push_files({f"manifests/{n}.yaml": manifest(n, project.name) for n in numbers})
    with ConfigMapWatch(stage.control_plane, stage.kube, namespace) as watch:
        processes = {"kas": stage.installation.kas.process.pid, "agentk": agent.process.pid}
        before = {name: cpu_seconds(pid) for name, pid in processes.items()}
        began = time.time()
        stage.configure()
        seconds = watch.additions(PROJECTS * OBJECTS, within=patience(0))[-1] - began
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
    fetched = _last_fetched(stage.installation.kas.log, set(names)) - began
    agent.stop()
    return [
        Result("many_projects", seconds, "s", seconds / AIM_SECONDS, f"aim < {AIM_SECONDS:g} s"),
        Result("many_projects_fetched", fetched, "s", None, f"kas has fetched {PROJECTS} new repositories"),
        *(Result(f"many_projects_cpu_{name}", seconds / PROJECTS * 1e3, "ms/project") for name, seconds in cpu.items()),
    ]


def _last_fetched(log: Path, names: set[str]) -> float:
    """Return when kas knew the last of these projects' revisions."""
    known = [
        datetime.fromisoformat(line["time"]).timestamp()
        for line in map(json.loads, log.read_text().splitlines())
        if line["msg"] == "Revision known" and line["project_id"].removeprefix("bench/") in names
    ]
    return max(known)
