"""``python -m bench [--only name,name]``: measure, print a table, and write ``build/bench.json``.

What each number is, the file of its benchmark says; what they came to and where the time goes, docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from bench import drift, first_sync, noop, push_to_live
from bench.results import Result, show, write
from bench.stage import FULL_SPEED, open_stage
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

ROUNDS = 5
AT_FULL_SPEED = ("first_sync_2000", "rss_kas", "rss_agentk", "push_to_live", "drift")
AUDITED = ("noop_writes", "noop_requests")
NAMES = (*AT_FULL_SPEED, *AUDITED)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the project on real programs.")
    parser.add_argument("--only", metavar="NAME,NAME", default=",".join(NAMES), help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of first_sync_2000")
    options = parser.parse_args()
    wanted = set(options.only.split(","))
    if unknown := wanted.difference(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    results: list[Result] = []
    if wanted.intersection(AT_FULL_SPEED):
        results += _at_full_speed(wanted, options.rounds)
    if wanted.intersection(AUDITED):
        _say("noop: a control plane that audits")
        results += noop.measure()
    chosen = [result for result in results if any(result.name.startswith(name) for name in wanted)]
    show(chosen)
    write(chosen, ROOT / "build" / "bench.json")


def _at_full_speed(wanted: Collection[str], count: int) -> list[Result]:
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
    return results


def _say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
