"""Thousands of agents without clusters, in one compiled process: the real protocol over real connections.

What they are sent counts as applied 50 ms later, and is reported as agentk reports it. They are registered straight
into kas' database before kas starts: one transaction instead of twenty thousand requests.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kas.rpc.auth import new_agent_token
from kas.store.agents import FIRST_ID
from kas.store.database import Database
from kas.store.schema import agent_tokens, agents, projects
from kas.store.store import Store
from tests.support.go_build import GoBuild
from tests.support.processes import dies_with_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

BUILD = GoBuild(
    name="bench-agents", module=Path(__file__).parent / "agents_load", packages=(".",), flags=("-trimpath",)
)

POLL_SECONDS = 0.05
TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Delivery:
    """When agents had a commit whole: how many of them, and seconds since the epoch."""

    agents: int
    first: float = 0.0
    median: float = 0.0
    last: float = 0.0


class NotDeliveredError(RuntimeError):
    """The fleet did not get where it should; the text says how far it came."""


def register(url: str, names: Sequence[tuple[str, str]]) -> list[str]:
    """Register agents, each a configuration project and a name; return a token for each."""
    return asyncio.run(_register(url, names))


async def _register(url: str, names: Sequence[tuple[str, str]]) -> list[str]:
    await (await Store.open(url)).close()
    made = [new_agent_token() for _ in names]
    paths = list(dict.fromkeys(project for project, _ in names))
    now = time.time_ns() // 1000
    database = Database(url)
    try:
        async with database.write(durable=True) as connection:
            rows = [{"id": number, "path": path, "created_at": now} for number, path in enumerate(paths, FIRST_ID)]
            await connection.execute(projects.insert(), rows)
            ids = {path: number for number, path in enumerate(paths, FIRST_ID)}
            registered = [
                {"id": number, "project_id": ids[project], "name": name, "created_at": now}
                for number, (project, name) in enumerate(names, FIRST_ID)
            ]
            await connection.execute(agents.insert(), registered)
            tokens = [
                {"agent_id": number, "name": "bench", "description": "", "token_hash": token_hash, "created_at": now}
                for number, (_, token_hash) in enumerate(made, FIRST_ID)
            ]
            await connection.execute(agent_tokens.insert(), tokens)
    finally:
        await database.close()
    return [secret for secret, _ in made]


class Fleet:
    """The process of all agents; leaving the context ends it."""

    def __init__(self, directory: Path, targets: Sequence[str], tokens: Sequence[str], *, websocket: bool) -> None:
        """Prepare; agents take turns among ``targets`` (host:port), and connect when they are told to."""
        self._log = directory / "fleet.log"
        file = directory / "tokens"
        file.touch(mode=0o600)
        file.write_text("\n".join(tokens))
        self._command = [
            *dies_with_us(None),
            str(BUILD.ensure() / "agentsload"),
            f"-targets={','.join(targets)}",
            f"-tokens={file}",
            *(["-websocket"] if websocket else []),
        ]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.terminate()
        self._running.communicate()

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise NotDeliveredError("the agents were not started")
        return self._process

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command of ``agents_load`` and return its answer."""
        process = self._running
        if process.stdin is None or process.stdout is None:
            raise NotDeliveredError("the agents cannot be spoken to")
        process.stdin.write(command + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise NotDeliveredError(f"the agents have ended: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait_connected(self, count: int, *, connections: int, within: float) -> float:
        """Wait for so many agents, and connections since the beginning; return when the last one came in."""

        def far() -> str | None:
            state = self.ask("state")
            done = state["connected"] >= count and state["connections"] >= connections
            return None if done else f"{state['connected']} of {count} are connected: {state}"

        _wait(far, within)
        return float(self.ask("state")["last_connection"])

    def wait_delivered(self, commit: str, count: int, *, within: float) -> Delivery:
        """Wait until so many agents have a commit."""

        def far() -> str | None:
            agents = self.ask(f"commit {commit}")["agents"]
            return None if agents >= count else f"{agents} of {count} agents have {commit[:8]}"

        _wait(far, within)
        return Delivery(**self.ask(f"commit {commit}"))


def _wait(far: Callable[[], str | None], within: float) -> None:
    """Wait until ``far`` has nothing more to say of how far it is, and pass on now and then what it says."""
    began = told = time.monotonic()
    while (text := far()) is not None:
        now = time.monotonic()
        if now - began > within:
            raise NotDeliveredError(f"after {within:g} s {text}")
        if now - told > TELL_SECONDS:
            told = now
            print(f"[bench]   {text}", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
