"""Three kas, a database, a broker and many agents, and something breaks every few seconds: ``make chaos-kas``.

``python -m tests.chaos.replicas [--agents N] [--seconds N] [--seed N]``. At the end all is mended, and then every agent
has the newest revision, every report that was acknowledged is stored once, and no process has grown out of bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.git_server import GitServer
from tests.support.manifests import config_files, config_map
from tests.support.playing import Player
from tests.support.postgres import PostgresServer
from tests.support.replicas import Replicas
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.git_repository import GitRepository
    from tests.support.installation import Kas

APP, CONFIG = "chaos/app", "chaos/config"
SETTLE_SECONDS = 240.0
"""A kas that starts on a machine with much else to do was seen to need one minute of them."""
MEGABYTES, MEGABYTES_AN_AGENT = 300, 1.0
"""What a kas may have at the end: far above what it needs, far below what a leak at this pace would be."""


@dataclass
class Chaos:
    """One run, and what was done in it."""

    replicas: Replicas
    postgres: PostgresServer
    app: GitRepository
    chance: random.Random
    players: list[Player] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    pushes: int = 0

    async def register(self, agents: int, config: GitRepository) -> None:
        """Register agents with a configuration each."""
        files: dict[str, str] = {}
        for number in range(agents):
            files |= config_files(f"agent-{number}", "demo", APP)
        config.push_files(files)
        for number in range(agents):
            kas = self.replicas.kas[number % len(self.replicas.kas)]
            made = await asyncio.to_thread(kas.post, "agents", {"project": CONFIG, "name": f"agent-{number}"})
            token = await asyncio.to_thread(kas.post, f"agents/{made['id']}/tokens", {"name": "t"})
            self.players.append(Player(self.replicas.address, token["secret"]))

    async def push(self) -> str:
        """Push a revision and tell one replica, if it can be told."""
        self.pushes += 1
        files = {"manifests/app.yaml": config_map("app", str(self.pushes))}
        commit = await asyncio.to_thread(self.app.push_files, files, f"Push {self.pushes}")
        with suppress(OSError):
            await asyncio.to_thread(self.chance.choice(self.replicas.kas).webhook, APP)
        return commit

    async def break_something(self) -> None:
        """Break one thing, and mend it after a while."""
        faults: list[Callable[[], Awaitable[None]]] = [
            self.killed,
            self.ended,
            self.stopped,
            self.without_redis,
            self.without_database,
            self.cut_off,
            self.disconnected,
            self.unreachable,
        ]
        fault = self.chance.choice(faults)
        self.faults[fault.__name__] += 1
        await fault()

    async def killed(self) -> None:
        kas = self.chance.choice(self.replicas.kas)
        kas.kill()
        await self._pause()
        kas.launch()

    async def ended(self) -> None:
        kas = self.chance.choice(self.replicas.kas)
        process = kas.process
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.exit_code is not None, what="kas has ended", within=60)
        kas.launch()

    async def stopped(self) -> None:
        process = self.chance.choice(self.replicas.kas).process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(2, 8))  # longer than a lease lives, now and then
        process.send_signal(signal.SIGCONT)

    async def without_redis(self) -> None:
        self.replicas.redis.kill()
        await self._pause()
        self.replicas.redis.start()

    async def without_database(self) -> None:
        self.postgres.crash()
        await self._pause()
        self.postgres.start()

    async def cut_off(self) -> None:
        link = self.replicas.link(self.chance.randrange(len(self.replicas.kas)))
        link.silence()
        await asyncio.sleep(self.chance.uniform(1, 8))
        link.heal()

    async def disconnected(self) -> None:
        await asyncio.to_thread(self.replicas.agents.cut)

    async def unreachable(self) -> None:
        """Have agents' packets vanish, and then their connections with them."""
        self.replicas.agents.silence()
        await self._pause()
        await asyncio.to_thread(self.replicas.agents.cut)
        self.replicas.agents.heal()

    async def settle(self) -> None:
        """Make sure that everything is as it should be once nothing breaks any more."""
        for kas in self.replicas.kas:
            await eventually(kas.ready, what="all are ready", within=SETTLE_SECONDS)
        commit = await self.push()
        await eventually(
            lambda: all(player.commit == commit for player in self.players),
            what="every agent is at the newest revision",
            within=SETTLE_SECONDS,
        )
        await eventually(
            lambda: all(player.idle for player in self.players), what="all is reported", within=SETTLE_SECONDS
        )
        rows = self.postgres.sql("SELECT message FROM events WHERE reason = 'Played'", self.replicas.database)
        stored = Counter(line.removeprefix("report ") for line in rows.splitlines())
        lost = [one for player in self.players for one in player.acknowledged if one not in stored]
        assert not lost, f"{len(lost)} acknowledged reports are not stored"
        twice = [one for one, count in stored.items() if count > 1]
        assert not twice, f"{len(twice)} reports are stored more than once"
        newest = self.postgres.sql(
            f"SELECT count(*) FROM syncs WHERE commit_id = '{commit}' AND state = 'healthy'",  # noqa: S608 - ours
            self.replicas.database,
        )
        assert int(newest) == len(self.players), f"{newest} of {len(self.players)} agents are shown at the newest"
        for kas in self.replicas.kas:
            assert _megabytes(kas) < MEGABYTES + MEGABYTES_AN_AGENT * len(self.players), "a process has grown"

    async def _pause(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.5, 4))


async def run(directory: Path, *, agents: int, seconds: float, seed: int, calm: float = 1.0) -> Chaos:
    """Break things for so many seconds, a push each, with ``calm`` seconds between two of them.

    Raises:
        AssertionError: something is not as it should be in the end.
    """
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        git = stack.enter_context(GitServer(directory / "git"))
        app, config = git.create(APP), git.create(CONFIG)
        listener = "  drain_period: 3s\n"
        replicas = Replicas(directory, git.template, postgres, poll_interval="5s", listener=listener)
        chaos = Chaos(stack.enter_context(replicas), postgres, app, random.Random(seed))  # noqa: S311 - to be repeated
        await chaos.push()
        await chaos.register(agents, config)
        for player in chaos.players:
            await stack.enter_async_context(player.running())
        await eventually(lambda: all(player.commit for player in chaos.players), what="all begin", within=120)
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(_push_each_second(chaos))
            while time.monotonic() < end:
                await chaos.break_something()
                await asyncio.sleep(calm)
            pushing.cancel()
        await chaos.settle()
        return chaos


async def _push_each_second(chaos: Chaos) -> None:
    while True:
        await chaos.push()
        await asyncio.sleep(1)  # the rhythm that faults are to fall into, and nothing that is waited for


def _megabytes(kas: Kas) -> float:
    status = Path(f"/proc/{kas.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> None:
    """Break what the command line says."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos.replicas", description=__doc__)
    arguments.add_argument("--agents", type=int, default=300)
    arguments.add_argument("--seconds", type=float, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kas-chaos-") as directory:
        done = asyncio.run(run(Path(directory), agents=chosen.agents, seconds=chosen.seconds, seed=chosen.seed, calm=3))
    sys.stdout.write(f"{done.pushes} pushes, {sum(done.faults.values())} faults: {dict(done.faults)}: all is well\n")


if __name__ == "__main__":
    main()
