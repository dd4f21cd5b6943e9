"""``python -m bench [--only name,name]``: measure, print a table, and write ``build/bench.json``.

What each number is, the file of its benchmark says; what they came to and where the time goes, docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from bench import (
    agents,
    drift,
    fairness,
    first_sync,
    growth,
    kubectl,
    latency,
    many_projects,
    monorepo,
    noop,
    push_to_live,
)
from bench.results import Result, show, write
from bench.stage import FULL_SPEED, open_stage
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bench.stage import Stage

ROUNDS = 5

QUICK = ("first_sync_2000", "kubectl", "rss_kas", "rss_agentk", "push_to_live", "drift")
"""On one control plane, one after the other."""

LARGE: dict[str, Callable[[Stage], list[Result]]] = {
    "many_projects": many_projects.measure,
    "first_sync_20000": first_sync.measure_many,
    "fairness": fairness.measure,
    "growth": growth.measure,
}
"""Each on a control plane of its own: what one leaves in it would slow the next. A minute or two each."""

AUDITED: dict[str, Callable[[], list[Result]]] = {"noop": noop.measure, "restart": noop.measure_restart}
"""On control planes that keep an audit log."""

ALONE: dict[str, Callable[[], list[Result]]] = {"latency": latency.measure, "monorepo": monorepo.measure}
"""With a stage of their own, or none. A minute or two each."""

USUAL = (*QUICK, *LARGE, *AUDITED, *ALONE)

AGENTS = "agents"
"""Half an hour, without any control plane: only when it is asked for."""

NAMES = (*USUAL, AGENTS)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the project on real programs.")
    parser.add_argument("--only", metavar="NAME,NAME", default=",".join(USUAL), help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of first_sync_2000")
    parser.add_argument("--agents", type=int, default=agents.SIZES[-1], help="the most that connect, of agents")
    parser.add_argument("--replicas", type=int, default=1, help="of kas, of agents")
    options = parser.parse_args()
    wanted = set(options.only.split(","))
    if unknown := wanted.difference(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    results: list[Result] = []
    if wanted.intersection(QUICK):
        results += _quick(wanted, options.rounds)
    for name, measure_large in LARGE.items():
        if name in wanted:
            _say(name)
            with open_stage(*FULL_SPEED) as stage:
                results += measure_large(stage)
    for name, measure_alone in ALONE.items():
        if name in wanted:
            _say(name)
            results += measure_alone()
    for name, measure_audited in AUDITED.items():
        if name in wanted:
            _say(f"{name}: a control plane that audits")
            results += measure_audited()
    if AGENTS in wanted:
        results += agents.measure(options.agents, options.replicas)
    chosen = [result for result in results if any(result.name.startswith(name) for name in wanted)]
    show(chosen)
    write(chosen, ROOT / "build" / "bench.json")


def _quick(wanted: Collection[str], count: int) -> list[Result]:
    """Measure what one control plane serves; the last round's agent goes on to what follows."""
    results: list[Result] = []
    compare = "first_sync_2000" in wanted
    count = count if compare else 1
    with open_stage(*FULL_SPEED) as stage:
        projects = stage.projects(count)
        rounds: list[first_sync.Round] = []
        memories: list[first_sync.Memory] = []
        if compare:
            _say(f"first_sync_2000: warming the API server up, {first_sync.raw(stage, -1):,.0f} objects/s raw")
        for number, project in enumerate(projects):
            raw = first_sync.raw(stage, number) if compare else 0.0
            agent, done, memory = first_sync.sync_first(stage, project)
            rounds.append(replace(done, raw=raw))
            memories.append(memory)
            _say(f"first sync {number + 1} of {count}: {rounds[-1]}")
            if project is not projects[-1]:
                agent.stop()
        if compare:
            results += first_sync.results(rounds)
        results.append(Result("rss_kas", memories[0].kas, "MiB", None, "one agent, 2,000 objects"))
        results.append(Result("rss_agentk", memories[0].agentk, "MiB", None, "2,000 objects"))
        if "push_to_live" in wanted:
            _say("push_to_live")
            results += push_to_live.measure(stage, projects[-1])
        if "drift" in wanted:
            _say("drift")
            results += drift.measure(stage, projects[-1])
        if "kubectl" in wanted:
            _say("kubectl")
            results += kubectl.measure(stage, rounds[-1].whole)
    return results


def _say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
