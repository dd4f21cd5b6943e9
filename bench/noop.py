"""What a sync that changes nothing, and a restart, cost the API server: its own audit log counts what agentk sends.

Two commits on 2,000 synced objects: one that touches no selected file, and one that rewrites a selected file with the
same meaning (a comment). Counted is every request whose user agent is agentk from the push until kas shows the commit
as healthy; watches that were opened before send none.

Then agentk is restarted over 20,000 synced objects: counted is everything from its start until it has found that there
is nothing to do. What it needs for itself (who leads: Leases) does not count as a write.

Runs on control planes of its own, since auditing costs the API server time that the other benchmarks measure.
"""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.first_sync import MANY, OBJECTS, sync_first
from bench.results import Result
from bench.stage import manifest, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.stage import Project, Stage
    from tests.support.installation import Agent

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete"],
    "rules": [{"level": "Metadata"}],
}
SYNCED = "Cluster successfully synced"
READS = frozenset({"get", "list", "watch"})


def measure() -> list[Result]:
    """Start everything, sync 2,000 objects, push two commits that change nothing, and count."""
    with _audited(OBJECTS) as (stage, project, _, log):
        unrelated = _requests(stage, project, log, {"README.md": "Nothing that is selected.\n"})
        same = manifest(7, project.agent)
        rewritten = _requests(stage, project, log, {"manifests/team-00/cm-00007.yaml": f"# rewritten\n{same}"})
    writes = [sum(verb not in READS for verb in verbs) for verbs in (unrelated, rewritten)]
    return [
        Result("noop_writes", max(writes), "requests", None, "aim 0; the worse of both commits"),
        Result("noop_requests", max(len(unrelated), len(rewritten)), "requests", None, "the worse of both commits"),
    ]


def measure_restart() -> list[Result]:
    """Start everything, sync 20,000 objects, restart agentk, and count."""
    with _audited(MANY) as (_, _, agent, log):
        _settle(log)
        done = agent.log.read_text().count(SYNCED)
        agent.stop()
        began = time.time()
        agent.start()
        agent.process.wait_until(
            lambda: agent.log.read_text().count(SYNCED) > done, what="it has looked at everything", within=300.0
        )
        seconds = time.time() - began
        _settle(log)
        events = [event for event in _since(log, began) if "/leases" not in event["requestURI"]]
    written = [event for event in events if event["verb"] not in READS]
    writes = [f"{event['verb']} {event['requestURI'].partition('?')[0]}" for event in written]
    pages = [event for event in events if event["verb"] == "list" and "limit=500" in event["requestURI"]]
    single = sum(event["verb"] == "get" and "objectRef" in event for event in events)
    return [
        Result("restart_writes", len(writes), "requests", None, "; ".join(writes) or f"aim 0; over {MANY:,} objects"),
        Result("restart_single_reads", single, "requests", None, "aim 0; of one object each"),
        Result("restart_pages", len(pages), "requests", len(pages) / (MANY / 500), f"{MANY // 500} pages of 500"),
        Result("restart_requests", len(events), "requests", None, "all, discovery and watches too"),
        Result("restart_seconds", seconds, "s", None, "from its start until it knows that nothing is to be done"),
    ]


@contextmanager
def _audited(objects: int) -> Iterator[tuple[Stage, Project, Agent, Path]]:
    """Start everything, sync so many objects, and yield the log of every request besides."""
    with tempfile.TemporaryDirectory(prefix="agentk-bench-audit-") as directory:
        policy, log = Path(directory) / "policy.json", Path(directory) / "audit.log"
        policy.write_text(json.dumps(POLICY))
        with open_stage(f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-maxsize=0") as stage:
            (project,) = stage.projects(1)
            agent, _, _ = sync_first(stage, project, objects)
            counted = sum(1 for _ in _since(log, 0.0))
            if counted < objects:
                raise RuntimeError(
                    f"the audit log knows {counted} requests of agentk's, and it applied {objects} objects"
                )
            yield stage, project, agent, log


def _requests(stage: Stage, project: Project, log: Path, files: dict[str, str]) -> list[str]:
    """Push, wait for the end, and return the verb of each request that agentk sent meanwhile."""
    _settle(log)
    began = time.time()
    project.repository.write(files)
    commit = project.repository.commit()
    stage.push(project)
    stage.installation.kas.wait_sync(project.agent, state="healthy", commit=commit)
    _settle(log)
    return [event["verb"] for event in _since(log, began) if "/leases" not in event["requestURI"]]


def _since(log: Path, began: float) -> Iterator[dict[str, Any]]:
    """Yield agentk's requests from a moment on."""
    for event in _events(log):
        if event.get("userAgent") == "agentk":
            received = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
            if received >= began:
                yield event


def _settle(log: Path) -> None:
    """Wait until nothing of agentk's has come for a second: what belongs to the sync before is over."""
    seen = -1
    while (count := sum(1 for event in _since(log, 0.0) if "/leases" not in event["requestURI"])) != seen:
        seen = count
        time.sleep(1.0)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        yield event
