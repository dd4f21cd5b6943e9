"""From a webhook to an object in the cluster, hop by hop, over 200 pushes, beside the time of ``git push`` itself.

Nothing is guessed: both programs log when something is done (``A webhook asks for a look``, ``Revision known``,
``Revision offered``; ``Revision received``), the benchmark's own watch sees the object, and kas keeps when it took the
report in. All run on one machine, so by one clock. The project is small: what is measured is what a push costs anyhow.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.results import Result
from bench.stage import FULL_SPEED, SETTINGS, manifests, open_stage
from bench.watching import ConfigMapWatch
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.stage import Project, Stage

PUSHES = 200
OBJECTS = 100
AIM_MEDIAN_MS, AIM_99_MS = 150.0, 500.0
HOPS = ("webhook", "fetch", "select", "stream", "apply", "report")


def measure(pushes: int = PUSHES) -> list[Result]:
    """Push one changed file again and again; medians and 99th percentiles in milliseconds."""
    with open_stage(*FULL_SPEED, settings=f"{SETTINGS}logging: {{level: debug}}\n") as stage:
        (project,) = stage.projects(1, "latency")
        project.repository.write(manifests(OBJECTS, "first"))
        project.repository.commit()
        stage.push(project)
        agent = stage.agent(project)
        stage.installation.kas.wait_sync(project.agent, state="healthy", commit=project.repository.head())
        logs = (stage.installation.kas.log, agent.log)
        with ConfigMapWatch(stage.control_plane, stage.kube, project.namespace) as watch:
            times = [_push(stage, project, watch, logs, turn) for turn in range(pushes)]
        agent.stop()
    return _results(times)


def _push(
    stage: Stage, project: Project, watch: ConfigMapWatch, logs: tuple[Path, Path], turn: int
) -> dict[str, float]:
    """Return the seconds of the push, of each hop, and of all hops until the object is there (``live``)."""
    kas, number, value = stage.installation.kas, turn * 37 % OBJECTS, f"push-{turn}"
    path = f"manifests/team-00/cm-{number:05}.yaml"
    project.repository.write({path: manifests(number + 1, value)[path]})
    commit, since = project.repository.commit(), watch.count
    places = tuple(log.stat().st_size for log in logs)
    began = time.time()
    project.repository.push()
    pushed = time.time()
    kas.webhook(project.name)
    live, _ = watch.when(f"bench-{number:05}", value, since=since)
    sync = kas.wait_sync(project.agent, state="healthy", commit=commit)
    wanted = ({"A webhook asks for a look", "Revision known", "Revision offered"}, {"Revision received"})
    said: dict[str, float] = {}

    def is_said() -> bool:
        for log, place, some in zip(logs, places, wanted, strict=True):
            said.update(_said(log, place, some, commit))
        return len(said) == sum(map(len, wanted))

    wait_until(is_said, what="both programs have logged the push")
    reported = datetime.fromisoformat(sync["updated_at"]).timestamp()
    at = (pushed, *(said[one] for one in (*sorted(wanted[0]), "Revision received")), live, reported)
    hops = {hop: after - before for hop, (before, after) in zip(HOPS, pairwise(at), strict=True)}
    return {"push": pushed - began, "live": live - pushed, **hops}


def _said(log: Path, place: int, messages: set[str], commit: str) -> Mapping[str, float]:
    """Return when each message was first logged after ``place``, those of a commit for this one only."""
    found: dict[str, float] = {}
    with log.open("rb") as stream:
        stream.seek(place)
        for line in stream.read().decode(errors="replace").splitlines():
            if not line.endswith("}"):
                continue
            entry = json.loads(line)
            if entry["msg"] in messages and entry.get("commit_id", commit) == commit:
                found.setdefault(entry["msg"], datetime.fromisoformat(entry["time"]).timestamp())
    return found


def _results(times: Sequence[Mapping[str, float]]) -> list[Result]:
    def of(name: str, share: float) -> float:
        ordered = sorted(one[name] for one in times)
        return ordered[min(round(share * len(ordered)), len(ordered) - 1)] * 1e3

    push = statistics.median(one["push"] for one in times) * 1e3
    beside = f"git push: {push:,.0f} ms; aim < {AIM_MEDIAN_MS:g} ms"
    results = [
        Result("latency", of("live", 0.5), "ms", of("live", 0.5) / push, beside),
        Result("latency_99", of("live", 0.99), "ms", of("live", 0.99) / push, f"as above; aim < {AIM_99_MS:g} ms"),
        Result("latency_push", push, "ms", None, f"99 %: {of('push', 0.99):,.0f} ms"),
    ]
    return results + [
        Result(f"latency_{hop}", of(hop, 0.5), "ms", None, f"99 %: {of(hop, 0.99):,.0f} ms") for hop in HOPS
    ]
