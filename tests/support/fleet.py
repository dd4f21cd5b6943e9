"""Replicas of kas with an agent at each, played by the test; and their HTTP API, as a person's program uses it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.installation import ANSWER_SECONDS
from tests.support.manifests import config_files, config_map
from tests.support.playing import Player
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.support.git_repository import GitRepository
    from tests.support.git_server import GitServer
    from tests.support.installation import Kas
    from tests.support.replicas import Replicas


@dataclass
class Fleet:
    """Three replicas, and one agent at each of them that follows one project."""

    replicas: Replicas
    git: GitServer
    app: GitRepository
    app_name: str
    names: list[str]
    players: list[Player]

    def push(self, value: str) -> str:
        """Push a revision with this value in it, and return its commit."""
        return self.app.push_files({"manifests/app.yaml": config_map("app", value)}, value)

    async def push_and_tell(self, value: str, *, to: int) -> str:
        """Push, and tell one replica."""
        commit = await asyncio.to_thread(self.push, value)
        await asyncio.to_thread(self.replicas.kas[to].webhook, self.app_name)
        return commit

    async def all_have(self, commit: str, *, within: float = 30.0) -> None:
        """Wait until every agent has a revision."""
        await eventually(
            lambda: all(player.commit == commit for player in self.players), what="all have it", within=within
        )

    def agent_id(self, number: int, *, at: int = 0) -> int:
        """Return the id of an agent, as one replica knows it."""
        agents = self.replicas.kas[at].get("agents", agent=self.names[number])
        return int(agents[0]["id"])

    async def order(self, number: int, what: str, body: object, *, at: int) -> Any:  # noqa: ANN401 - JSON
        """Order something of an agent, through one replica."""
        agent_id = await asyncio.to_thread(self.agent_id, number, at=at)
        return await asyncio.to_thread(self.replicas.kas[at].post, f"agents/{agent_id}/{what}", body)


def ask(kas: Kas, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """Send a request to the HTTP listener of a kas, and return what it answers."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{kas.api}{path}",
        data=json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {kas.admin_token.read_text().strip()}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
        return json.load(answer)


@asynccontextmanager
async def fleet_of(replicas: Replicas, git: GitServer, group: str) -> AsyncIterator[Fleet]:
    """Register an agent for each replica, all of one project in this group, and connect each to its own."""
    app_name, config_name = f"{group}/app", f"{group}/config"
    app, config = git.create(app_name), git.create(config_name)
    names = [f"{group}-{number}".strip("-") for number in range(len(replicas.kas))]
    fleet = Fleet(replicas, git, app, app_name, names, [])
    first = fleet.push("first")
    files: dict[str, str] = {}
    for name in names:
        files |= config_files(name, "demo", app_name)
    config.push_files(files)
    async with AsyncExitStack() as stack:
        for number, kas in enumerate(replicas.kas):
            made = kas.post("agents", {"project": config_name, "name": names[number]})
            token = kas.post(f"agents/{made['id']}/tokens", {"name": "t"})["secret"]
            player = Player(f"grpc://localhost:{kas.grpc_port}", token)
            fleet.players.append(await stack.enter_async_context(player.running()))
        await fleet.all_have(first)
        yield fleet


async def watch(kas: Kas, path: str) -> AsyncGenerator[Any, None]:
    """Yield the lines of a watch of the API."""
    headers = {"Authorization": f"Bearer {kas.admin_token.read_text().strip()}"}
    async with (
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"{kas.api}/api/v1/{path}") as answer,
    ):
        async for line in answer.content:
            yield json.loads(line)


def readiness(kas: Kas) -> tuple[int, dict[str, tuple[bool, str]]]:
    """Return what ``/readiness`` says: its status, and of each check whether it is well and its message."""
    try:
        with urllib.request.urlopen(f"{kas.observability}/readiness", timeout=5) as answer:  # noqa: S310 - loopback
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        status, body = error.code, json.load(error)
    except OSError:
        return 0, {}
    return status, {check["name"]: (check["ok"], check["message"]) for check in body["checks"]}
