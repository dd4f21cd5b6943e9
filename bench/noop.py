"""What a sync that changes nothing costs the API server: its own audit log counts what agentk sends.

Two commits on 2,000 synced objects: one that touches no selected file, and one that rewrites a selected file with the
same meaning (a comment). Counted is every request whose user agent is agentk from the push until kas shows the commit
as healthy; watches that were opened before send none. Runs on a control plane of its own, since auditing costs the API
server time that the other benchmarks measure.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.first_sync import OBJECTS, sync_first
from bench.results import Result
from bench.stage import manifest, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.stage import Project, Stage

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete"],
    "rules": [{"level": "Metadata"}],
}
READS = frozenset({"get", "list", "watch"})


def measure() -> list[Result]:
    """Start everything, sync 2,000 objects, push two commits that change nothing, and count."""
    with tempfile.TemporaryDirectory(prefix="agentk-bench-audit-") as directory:
        policy, log = Path(directory) / "policy.json", Path(directory) / "audit.log"
        policy.write_text(json.dumps(POLICY))
        with open_stage(f"--audit-policy-file={policy}", f"--audit-log-path={log}") as stage:
            (project,) = stage.projects(1)
            sync_first(stage, project)
            counted = sum(event.get("userAgent") == "agentk" for event in _events(log))
            if counted < OBJECTS:
                raise RuntimeError(
                    f"the audit log knows {counted} requests of agentk's, and it applied {OBJECTS} objects"
                )
            unrelated = _requests(stage, project, log, {"README.md": "Nothing that is selected.\n"})
            same = manifest(7, project.agent)
            rewritten = _requests(stage, project, log, {"manifests/team-00/cm-00007.yaml": f"# rewritten\n{same}"})
    writes = [sum(verb not in READS for verb in verbs) for verbs in (unrelated, rewritten)]
    return [
        Result("noop_writes", max(writes), "requests", None, "aim 0; the worse of both commits"),
        Result("noop_requests", max(len(unrelated), len(rewritten)), "requests", None, "the worse of both commits"),
    ]


def _requests(stage: Stage, project: Project, log: Path, files: dict[str, str]) -> list[str]:
    """Push, wait for the end, and return the verb of each request that agentk sent meanwhile."""
    _settle(log)
    began = time.time()
    project.repository.write(files)
    commit = project.repository.commit()
    stage.push(project)
    stage.installation.kas.wait_sync(project.agent, state="healthy", commit=commit)
    _settle(log)
    return [
        event["verb"]
        for event in _events(log)
        if event.get("userAgent") == "agentk"
        and datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp() >= began
    ]


def _settle(log: Path) -> None:
    """Wait until nothing of agentk's has come for a second: what belongs to the sync before is over."""
    seen = -1
    while (count := sum(event.get("userAgent") == "agentk" for event in _events(log))) != seen:
        seen = count
        time.sleep(1.0)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        yield event
