"""Three kas on one PostgreSQL and one Redis behave as one, whatever of it is killed, restarted or cut off.

All of it are real processes. The agents speak the real protocol and are played by the test, so that it is known exactly
what each was given, how often, and what was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.git_server import GitServer
from tests.support.manifests import config_files, config_map
from tests.support.playing import Player
from tests.support.postgres import PostgresServer
from tests.support.replicas import Replicas
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.git_repository import GitRepository
    from tests.support.installation import Kas

pytestmark = pytest.mark.timeout(120)


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
        return self.app.push_files({"manifests/app.yaml": config_map("app", value)}, value)

    async def push_and_tell(self, value: str, *, to: int) -> str:
        commit = await asyncio.to_thread(self.push, value)
        await asyncio.to_thread(self.replicas.kas[to].webhook, self.app_name)
        return commit

    async def all_have(self, commit: str, *, within: float = 30.0) -> None:
        await eventually(
            lambda: all(player.commit == commit for player in self.players), what="all have it", within=within
        )

    def agent_id(self, number: int, *, at: int = 0) -> int:
        agents = self.replicas.kas[at].get("agents", agent=self.names[number])
        return int(agents[0]["id"])

    async def order(self, number: int, what: str, body: object, *, at: int) -> Any:  # noqa: ANN401 - JSON
        agent_id = await asyncio.to_thread(self.agent_id, number, at=at)
        return await asyncio.to_thread(call, self.replicas.kas[at], f"agents/{agent_id}/{what}", body)


def call(kas: Kas, path: str, body: object, method: str = "POST") -> Any:  # noqa: ANN401 - JSON
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{kas.api}/api/v1/{path}",
        data=json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {kas.admin_token.read_text().strip()}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:  # noqa: S310 - loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, own_server: PostgresServer
) -> Iterator[tuple[Replicas, GitServer]]:
    directory = tmp_path_factory.mktemp("replicas")
    with (
        GitServer(directory / "git") as git,
        Replicas(directory, git.template, own_server, poll_interval="2s") as found,
    ):
        yield found, git


@pytest.fixture
async def fleet(running: tuple[Replicas, GitServer], request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    replicas, git = running
    async with fleet_of(replicas, git, request.node.name.removeprefix("test_")[:40].replace("_", "-")) as found:
        yield found


@asynccontextmanager
async def fleet_of(replicas: Replicas, git: GitServer, group: str) -> AsyncIterator[Fleet]:
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
            made = call(kas, "agents", {"project": config_name, "name": names[number]})
            token = call(kas, f"agents/{made['id']}/tokens", {"name": "t"})["secret"]
            player = Player(f"grpc://localhost:{kas.grpc_port}", token)
            fleet.players.append(await stack.enter_async_context(player.running()))
        await fleet.all_have(first)
        yield fleet


async def test_an_order_reaches_its_agent_through_whichever_replica_it_came_in(fleet: Fleet) -> None:
    for at in range(3):
        answer = await fleet.order(0, "reconcile", {}, at=at)
        assert [item["reason"] for item in answer["items"]] == [""]
    assert len(fleet.players[0].commands) == 3
    assert not fleet.players[1].commands


async def test_a_webhook_that_reaches_any_replica_brings_the_commit_to_the_agents_of_all(fleet: Fleet) -> None:
    for at in range(3):
        await fleet.all_have(await fleet.push_and_tell(f"by {at}", to=at))
    for player in fleet.players:
        commits = [snapshot.commit for snapshot in player.applied]
        assert len(commits) == len(set(commits)) == 4


async def test_a_token_that_one_replica_revokes_ends_the_session_at_another(fleet: Fleet) -> None:
    agent_id = fleet.agent_id(0)
    tokens = fleet.replicas.kas[1].get(f"agents/{agent_id}/tokens")
    await asyncio.to_thread(call, fleet.replicas.kas[1], f"tokens/{tokens[0]['id']}", None, "DELETE")
    await eventually(lambda: not fleet.players[0].connected, what="the session has ended")
    assert fleet.players[1].connected


async def test_a_suspension_ordered_at_one_replica_is_told_by_another(fleet: Fleet) -> None:
    await fleet.order(0, "suspend", {"project": fleet.app_name, "reason": "a look"}, at=2)
    await eventually(
        lambda: fleet.players[0].configurations[-1].projects[0].HasField("suspension"), what="it is suspended"
    )
    await fleet.order(0, "resume", {"project": fleet.app_name}, at=1)
    await eventually(
        lambda: not fleet.players[0].configurations[-1].projects[0].HasField("suspension"), what="it is resumed"
    )


async def test_every_replica_lists_the_connections_of_all(fleet: Fleet) -> None:
    for kas in fleet.replicas.kas:
        listed = {agent["name"]: agent["connections"] for agent in kas.get("agents")}
        assert all(listed[name] for name in fleet.names)


async def test_an_agentk_that_comes_back_to_another_replica_replaces_its_old_session(fleet: Fleet) -> None:
    before = fleet.players[0]
    other = fleet.replicas.kas[1]
    again = Player(f"grpc://localhost:{other.grpc_port}", before.token, instance=before.instance)
    async with again.running():
        await eventually(lambda: again.connected, what="the new session")

        def connections() -> int:
            (agent,) = other.get("agents", agent=fleet.names[0])
            return len(agent["connections"])

        # The old player comes back when it is replaced, and replaces in turn: there is never more than one for long.
        await eventually(lambda: asyncio.to_thread(lambda: connections() == 1), what="one session is left")


async def test_agents_of_a_killed_replica_are_served_by_the_others_and_nothing_acknowledged_is_lost(
    fleet: Fleet,
) -> None:
    for player in fleet.players:
        player.move_to(fleet.replicas.address)
    await fleet.all_have(await fleet.push_and_tell("before", to=0))
    await eventually(lambda: all(len(player.acknowledged) == 2 for player in fleet.players), what="reported")
    fleet.replicas.kas[0].kill()
    try:
        commit = await fleet.push_and_tell("after", to=1)
        await fleet.all_have(commit)
        await eventually(lambda: all(len(player.acknowledged) == 3 for player in fleet.players), what="reported")
        await stored_once(fleet)
        answer = await fleet.order(0, "reconcile", {}, at=2)
        assert [item["reason"] for item in answer["items"]] == [""]
    finally:
        fleet.replicas.kas[0].launch()  # by this thread: programs end with the one that started them
    await asyncio.to_thread(fleet.replicas.kas[0].wait_ready)
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)


async def test_redis_that_restarts_stops_nobody_and_orders_reach_other_replicas_again(fleet: Fleet) -> None:
    fleet.replicas.redis.kill()
    commit = await asyncio.to_thread(fleet.push, "without redis")
    await fleet.all_have(commit)
    assert all(kas.ready() for kas in fleet.replicas.kas)
    fleet.replicas.redis.start()
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)

    async def is_carried_out() -> bool:
        # Who has just found the others again may lose sight of them once more, and says ConnectionLost: try again.
        answer = await fleet.order(0, "reconcile", {}, at=1)
        return [item["reason"] for item in answer["items"]] == [""]

    await eventually(is_carried_out, what="an order reaches an agent at another replica")
    await fleet.all_have(await fleet.push_and_tell("with redis", to=2))


async def test_a_replica_that_is_cut_off_from_redis_serves_its_agents_and_does_no_work_twice(fleet: Fleet) -> None:
    fleet.replicas.link(0).silence()
    try:
        commits = [await asyncio.to_thread(fleet.push, f"split {number}") for number in range(3)]
        await fleet.all_have(commits[-1])
    finally:
        fleet.replicas.link(0).heal()
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)
    last = await fleet.push_and_tell("healed", to=0)
    await fleet.all_have(last)
    for player in fleet.players:
        seen = [snapshot.commit for snapshot in player.applied]
        assert len(seen) == len(set(seen))
    await stored_once(fleet)
    answer = await fleet.order(0, "reconcile", {}, at=1)
    assert [item["reason"] for item in answer["items"]] == [""]


async def test_postgresql_that_restarts_loses_no_acknowledged_report(fleet: Fleet, own_server: PostgresServer) -> None:
    own_server.crash()
    commit = await asyncio.to_thread(fleet.push, "without a database")
    await fleet.all_have(commit)
    own_server.start()
    await eventually(lambda: all(len(player.acknowledged) == 2 for player in fleet.players), what="reported")
    await stored_once(fleet)
    await eventually(lambda: all(kas.ready() for kas in fleet.replicas.kas), what="all are ready")


async def stored_once(fleet: Fleet) -> None:
    """Make sure that everything that was acknowledged is in the database once, and every agent at its newest."""
    for name, player in zip(fleet.names, fleet.players, strict=True):
        events = await asyncio.to_thread(fleet.replicas.kas[2].get, "events", agent=name, limit="500")
        told = [event["message"].removeprefix("report ") for event in events if event["reason"] == "Played"]
        assert sorted(told) == sorted(player.acknowledged)
        (sync,) = await asyncio.to_thread(fleet.replicas.kas[2].syncs, name)
        assert (sync["commit"], sync["state"]) == (player.commit, "healthy")
