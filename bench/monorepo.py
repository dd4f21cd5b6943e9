"""One push to a repository of 100,000 files that 800 selections share, to all of whom it matters being told.

What kas does between the webhook and the agents' streams, by its own parts: the watcher, the mirror and the snapshots,
on a real Git server. Beside it stands what git itself needs for the same answers, measured in the same run: a fetch and
the difference between two commits, and a listing of the whole tree. First sight of the repository is told apart.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentlink.manifests.model import Limits
from bench.results import Result
from bench.stage import manifest, resident_mib
from kas.git.mirrors import Mirrors
from kas.git.refs import GitRef, RefKind
from kas.git.remotes import GitSettings
from kas.git.watcher import RefWatcher
from kas.gitops.snapshots import Snapshots, Wanted
from tests.support.git_repository import fast_import
from tests.support.git_server import GitServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.git.watcher import RefState

FILES = 100_000
SELECTIONS = 800
PUSHES = 11
PROJECT = "bench/monorepo"
_MAIN = GitRef(RefKind.BRANCH, "main")


@dataclass(frozen=True)
class Push:
    """Of one push: seconds until all selections were told and of computing, selections that changed, requests."""

    told: float
    affected: int
    cpu: float
    requests: int


def measure() -> list[Result]:
    """Push one changed file again and again; medians."""
    with tempfile.TemporaryDirectory(prefix="kas-bench-") as folder:
        directory = Path(folder)
        with GitServer(directory / "git") as server:
            server.create(PROJECT)
            bare = server.bare(PROJECT)
            _import(bare, [(_path(number), manifest(number, "first")) for number in range(FILES)])
            return asyncio.run(_measure(server, bare, directory))


async def _measure(server: GitServer, bare: Path, directory: Path) -> list[Result]:
    mirrors = Mirrors(GitSettings(url_template=server.template, allow_http=True, timeout=600), directory / "data")
    snapshots = Snapshots(mirrors, Limits(files=FILES))
    watcher = RefWatcher(mirrors, poll_interval=3600)
    wanted = [Wanted(PROJECT, (f"/team-{number:03}/**/*.yaml",), "default") for number in range(SELECTIONS)]
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        running = tasks.create_task(watcher.run())
        streams = [await stack.enter_async_context(watcher.subscribe(PROJECT, _MAIN)) for _ in wanted]
        began = time.perf_counter()
        held = await _told(snapshots, wanted, streams)
        first = time.perf_counter() - began
        pushes = []
        for turn in range(PUSHES):
            number = turn * 7919 % FILES
            _import(bare, [(_path(number), manifest(number, f"push-{turn}"))])
            asked, cpu, began = len(server.requests), _cpu(), time.perf_counter()
            watcher.poke(PROJECT)
            new = await _told(snapshots, wanted, streams)
            told = time.perf_counter() - began
            affected = sum(one != other for one, other in zip(held, new, strict=True))
            pushes.append(Push(told, affected, _cpu() - cpu, len(server.requests) - asked))
            held = new
        memory = resident_mib(os.getpid())
        running.cancel()
    fetch = statistics.median(_fetch(bare, directory, turn) for turn in range(3))
    await mirrors.close()
    differ = _git(bare, "diff-tree", "-r", "-z", "--raw", "main~1", "main")
    listing = _git(bare, "ls-tree", "-r", "-z", "main")
    told = statistics.median(push.told for push in pushes)
    cpu = statistics.median(push.cpu for push in pushes)
    affected_by_push = statistics.median(push.affected for push in pushes)
    limit = fetch + differ
    against = f"git fetch and diff-tree by themselves: {limit * 1e3:,.0f} ms"
    return [
        Result("monorepo", told * 1e3, "ms", told / limit, against),
        Result("monorepo_listing", told * 1e3, "ms", told / listing, f"git ls-tree -r once: {listing * 1e3:,.0f} ms"),
        Result("monorepo_affected", affected_by_push, "selections", None, f"of {SELECTIONS}; the others get a number"),
        Result("monorepo_requests", statistics.median(push.requests for push in pushes), "requests"),
        Result("monorepo_cpu", cpu * 1e3, "ms", cpu / limit, "of kas, without git's; as above"),
        Result("monorepo_first", first, "s", None, f"{FILES:,} files fetched, listed and parsed for {SELECTIONS}"),
        Result("monorepo_rss", memory, "MiB", None, "all of it, parsed files of all selections in it"),
    ]


async def _told(snapshots: Snapshots, wanted: list[Wanted], streams: list[AsyncIterator[RefState]]) -> list[bytes]:
    """Return the digests once every selection has its snapshot of the newest commit."""

    async def one(selection: Wanted, states: AsyncIterator[RefState]) -> bytes:
        state = await anext(states)
        if state.commit is None:
            raise RuntimeError(f"the repository cannot be read: {state.error}")
        return (await snapshots.make(selection, state.commit)).digest

    return await asyncio.gather(*(one(*pair) for pair in zip(wanted, streams, strict=True)))


def _fetch(bare: Path, directory: Path, turn: int) -> float:
    """Return the seconds of one ``git fetch`` of one changed file, by git alone and over the disk."""
    clone = directory / "clone"
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", "--bare", "--depth=1", f"file://{bare}", str(clone)], check=True)
    _import(bare, [(_path(turn), manifest(turn, f"fetch-{turn}"))])
    began = time.perf_counter()
    subprocess.run(["git", "fetch", "--quiet", f"file://{bare}", "+main:main"], cwd=clone, check=True)
    return time.perf_counter() - began


def _path(number: int) -> str:
    return f"team-{number % SELECTIONS:03}/app-{number // SELECTIONS % 10:02}/cm-{number:06}.yaml"


def _import(bare: Path, files: list[tuple[str, str]]) -> None:
    """Commit files to main, without a work tree."""
    exists = subprocess.run(["git", "rev-parse", "-q", "--verify", "main"], cwd=bare, capture_output=True, check=False)
    lines = [b"commit refs/heads/main\ncommitter bench <bench@example.com> 1700000000 +0000\ndata 1\nx\n"]
    if exists.returncode == 0:
        lines.append(b"from refs/heads/main^0\n")
    for path, text in files:
        data = text.encode()
        lines.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data))
    fast_import(bare, b"".join(lines))


def _git(bare: Path, *arguments: str) -> float:
    """Return the seconds of one git process, the best of five."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run(["git", *arguments], cwd=bare, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    return min(once() for _ in range(5))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
