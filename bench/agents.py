"""kas with thousands of connected agents: what each costs, and how long a push takes to reach all of them, or one.

Every agent has a configuration file of its own, a thousand to a configuration project, and follows one manifest project
that all share; the first one follows another besides. At each size of ``SIZES``, in gRPC and in websockets:

* ``connect``: from the command until the last agent is in, and kas' processor time for each. kas lets in as many a
  second as ``kas.rpc.admission`` says, which is what bounds it.
* ``memory``: kas' resident memory with all of them idle, less that with none, by their number.
* ``idle``: kas' processor time over ``IDLE_SECONDS`` in which nothing happens but pings, as a share of one core.
* ``push_all``: from the webhook of a push until the last agent has the commit whole. ``push_all_cpu`` is what kas
  computes until all of them have reported it healthy, and ``push_all_reported`` how long that takes.
* ``push_one``: the same for the project of one agent, the median of five, while the others are connected and idle.

What does not come to its end in ``PATIENCE_SECONDS`` ends its transport: what was measured until then is given all the
same, so that a busy machine costs figures and not the run.

At the largest size ``storm``: all lose their connection at once; until the last one is back.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.fleet import POLL_SECONDS, Fleet, NotDeliveredError, register
from bench.results import Result
from bench.stage import cpu_seconds, manifests, resident_mib
from tests.support.git_server import GitServer
from tests.support.installation import HOST, Kas
from tests.support.manifests import config_files
from tests.support.postgres import PostgresServer
from tests.support.processes import ProcessEndedError
from tests.support.replicas import Replicas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from tests.support.git_repository import GitRepository

SIZES = (100, 1_000, 5_000, 10_000)
MOST_IN_WEBSOCKETS = 5_000
"""Three descriptors each, of 20,000 that a process may have on the machine these numbers are from."""

PER_CONFIGURATION = 1_000
OBJECTS = 20
"""Of the project that all agents share, a file each."""

IDLE_SECONDS = 15.0
PUSHES = 5
PATIENCE_SECONDS = 180.0
SETTLE_SECONDS = 60.0
"""How long it is waited at most until kas has caught up with what came before."""

QUIET_SHARE = 0.15
"""Of a core; what kas computes at most once it has caught up."""

AIM_KB = {"grpc": 60, "websocket": 100}
AIM_IDLE = 5.0
AIM_ALL_SECONDS = 5.0
AIM_ONE_MS = 100.0

EVERYBODY = "bench/everybody"
ONE = "bench/one"


def measure(most: int, replicas: int = 1) -> list[Result]:
    """Measure both transports with up to ``most`` agents on one kas, with SQLite, or spread over several.

    Several share a PostgreSQL and a Redis; memory and processor time are those of all of them together.
    """
    results: list[Result] = []
    for transport, each in (("grpc", most), ("websocket", MOST_IN_WEBSOCKETS * replicas)):
        limit = min(most, each)
        sizes = [size for size in SIZES if size < limit] + [limit]
        say(f"{transport}: {limit} agents are registered")
        began = time.monotonic()
        with _Installation(transport, limit, replicas) as installation:
            try:
                for size in sizes:
                    results += installation.measure(size)
                results += installation.storm(limit)
            except (NotDeliveredError, ProcessEndedError) as error:
                say(f"{transport} ends here: {error}")
        say(f"{transport}: {time.monotonic() - began:.0f} s in all")
    return results


class _Installation:
    """kas, a Git server and the agents, which grow from size to size."""

    def __init__(self, transport: str, most: int, replicas: int = 1) -> None:
        self._transport = transport
        self._replicas = replicas
        self._stack = ExitStack()
        self._most = most
        self._connected = 0

    def __enter__(self) -> Self:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="agentk-bench-")))
        git = self._stack.enter_context(GitServer(directory / "git"))
        self._everybody, self._one = git.create(EVERYBODY), git.create(ONE)
        self._everybody.push_files(manifests(OBJECTS, "0"))
        self._one.push_files(manifests(OBJECTS, "0"))
        names = list(_configurations(git, self._most))
        self._kas, tokens = (
            self._several(directory, git, names) if self._replicas > 1 else self._one_kas(directory, git, names)
        )
        websocket = self._transport == "websocket"
        targets = [f"{HOST}:{kas.websocket_port if websocket else kas.grpc_port}" for kas in self._kas]
        self._fleet = self._stack.enter_context(Fleet(directory, targets, tokens, websocket=websocket))
        self._empty = self._memory()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _one_kas(
        self, directory: Path, git: GitServer, names: Sequence[tuple[str, str]]
    ) -> tuple[list[Kas], list[str]]:
        kas = Kas(directory / "kas", git.template, poll_interval="20s")
        (directory / "kas" / "data").mkdir(mode=0o700)
        tokens = register(f"sqlite:///{directory / 'kas' / 'data' / 'kas.db'}", names)
        self._stack.callback(kas.stop)
        return [kas.start()], tokens

    def _several(
        self, directory: Path, git: GitServer, names: Sequence[tuple[str, str]]
    ) -> tuple[list[Kas], list[str]]:
        postgres = self._stack.enter_context(PostgresServer())
        replicas = Replicas(directory, git.template, postgres, count=self._replicas, poll_interval="20s")
        tokens = register(postgres.url(replicas.database), names)
        self._stack.enter_context(replicas)
        return replicas.kas, tokens

    def _cpu(self) -> float:
        return sum(cpu_seconds(kas.process.pid) for kas in self._kas)

    def _memory(self) -> float:
        """Return MiB."""
        return sum(resident_mib(kas.process.pid) for kas in self._kas)

    def measure(self, size: int) -> list[Result]:
        """Let the fleet grow to a size and measure there."""
        name = self._name(size)
        coming = size - self._connected
        spent, began = self._cpu(), time.time()
        self._fleet.ask(f"connect {size}")
        last = self._fleet.wait_connected(size, connections=size, within=PATIENCE_SECONDS)
        self._fleet.wait_delivered(self._everybody.head(), size, within=PATIENCE_SECONDS)
        self._connected = size
        self._settle()
        cpu = self._cpu() - spent
        memory = (self._memory() - self._empty) * 1024 / size
        say(f"{name}: {coming} more in {last - began:.1f} s, {cpu / coming * 1e3:.1f} ms each, {memory:.0f} kB each")
        idle = self._idle()
        all_seconds, reported, push_cpu = self._push_all(size)
        one = statistics.median(self._push(self._one, ONE, 1)[0] for _ in range(PUSHES)) * 1e3
        aim = AIM_KB[self._transport]
        return [
            Result(f"{name}_connect", last - began, "s", None, f"{coming} more agents"),
            Result(f"{name}_connect_cpu", cpu / coming * 1e3, "ms/agent", None, "first snapshot and reports included"),
            Result(f"{name}_memory", memory, "kB/agent", memory / aim, f"aim < {aim} kB"),
            Result(f"{name}_idle", idle, "% of a core", idle / AIM_IDLE, f"aim < {AIM_IDLE:g} % at 10,000"),
            Result(f"{name}_push_all", all_seconds, "s", all_seconds / AIM_ALL_SECONDS, f"aim < {AIM_ALL_SECONDS:g} s"),
            Result(f"{name}_push_all_reported", reported, "s", None, "all reports stored"),
            Result(f"{name}_push_all_cpu", push_cpu / size * 1e3, "ms/agent", None, "reports included"),
            Result(f"{name}_push_one", one, "ms", one / AIM_ONE_MS, f"aim < {AIM_ONE_MS:g} ms"),
        ]

    def storm(self, size: int) -> list[Result]:
        """Have all agents lose their connection at once."""
        before = self._fleet.ask("state")["connections"]
        spent, began = self._cpu(), time.time()
        self._fleet.ask("lose")
        last = self._fleet.wait_connected(size, connections=before + size, within=PATIENCE_SECONDS)
        self._settle()
        cpu = self._cpu() - spent
        name = f"{self._name(size)}_storm"
        state = self._fleet.ask("state")
        say(f"{name}: {last - began:.1f} s; {state}")
        memory = self._memory()
        return [
            Result(name, last - began, "s", None, "all connected again"),
            Result(f"{name}_cpu", cpu / size * 1e3, "ms/agent"),
            Result(f"{name}_memory", (memory - self._empty) * 1024 / size, "kB/agent", None, "after it"),
        ]

    def _name(self, size: int) -> str:
        replicas = f"_{self._replicas}_replicas" if self._replicas > 1 else ""
        return f"agents_{self._transport}_{size}{replicas}"

    def _idle(self) -> float:
        spent, began = self._cpu(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        return 100 * (self._cpu() - spent) / (time.monotonic() - began)

    def _push_all(self, size: int) -> tuple[float, float, float]:
        """Return seconds until delivered, until reported, and kas' processor time, for a push that concerns all."""
        reported = self._fleet.ask("state")["reported"]
        spent = self._cpu()
        delivered, began = self._push(self._everybody, EVERYBODY, size)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._fleet.ask("state")["reported"] < reported + 2 * size and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        seconds = time.time() - began
        self._settle()
        cpu = self._cpu() - spent
        say(f"  all of {size} have it after {delivered:.2f} s, reported after {seconds:.1f} s, {cpu:.1f} s of kas")
        return delivered, seconds, cpu

    def _push(self, repository: GitRepository, project: str, count: int) -> tuple[float, float]:
        """Change one file; return how many seconds later ``count`` agents had it, and when kas was told."""
        commit = repository.push_files({"manifests/team-00/cm-00000.yaml": manifests(1, str(time.time()))[FIRST]})
        began = time.time()
        self._kas[0].webhook(project)
        delivery = self._fleet.wait_delivered(commit, count, within=PATIENCE_SECONDS)
        return delivery.last - began, began

    def _settle(self) -> None:
        """Wait until kas has caught up with what came before."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            spent = self._cpu()
            time.sleep(1.0)
            if self._cpu() - spent < QUIET_SHARE:
                return


FIRST = next(iter(manifests(1, "")))


def _configurations(git: GitServer, count: int) -> Iterator[tuple[str, str]]:
    """Push the configuration of every agent; yield its project and name."""
    for start in range(0, count, PER_CONFIGURATION):
        project = f"bench/configuration-{start // PER_CONFIGURATION}"
        files: dict[str, str] = {}
        for number in range(start, min(start + PER_CONFIGURATION, count)):
            followed = (EVERYBODY, ONE) if number == 0 else (EVERYBODY,)
            files |= config_files(f"agent-{number:05}", "bench", *followed)
            yield project, f"agent-{number:05}"
        git.create(project).push_files(files)


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)
