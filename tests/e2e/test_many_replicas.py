"""Three kas on one PostgreSQL and one Redis behave as one, whatever of it is killed, restarted or cut off.

All of it are real processes. The agents speak the real protocol and are played by the test, so that it is known exactly
what each was given, how often, and what was acknowledged.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Fleet, ask, fleet_of, readiness, watch
from tests.support.git_server import GitServer
from tests.support.playing import Player
from tests.support.postgres import PostgresServer
from tests.support.replicas import Replicas
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.timeout(120)


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
        Replicas(directory, git.template, own_server, poll_interval="2s", listener="  drain_period: 3s\n") as found,
    ):
        yield found, git


@pytest.fixture
async def fleet(running: tuple[Replicas, GitServer], request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    replicas, git = running
    async with fleet_of(replicas, git, request.node.name.removeprefix("test_")[:40].replace("_", "-")) as found:
        yield found


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


async def test_a_push_is_two_requests_however_many_replicas_have_agents_of_it(fleet: Fleet) -> None:
    asked = f"POST /{fleet.app_name}.git/git-upload-pack"
    counts = []
    for attempt in range(9):
        before = len(fleet.git.requests)
        await fleet.all_have(await fleet.push_and_tell(f"asked for {attempt}", to=attempt % 3))
        counts.append(fleet.git.requests[before:].count(asked))
        if attempt >= 3 and counts[-1] == 2:
            break
    # Where the ref is, and what is there. The clock may come round meanwhile, and only ever adds to it.
    assert min(counts) == 2, counts


async def test_a_token_that_one_replica_revokes_ends_the_session_at_another(fleet: Fleet) -> None:
    agent_id = fleet.agent_id(0)
    tokens = fleet.replicas.kas[1].get(f"agents/{agent_id}/tokens")
    await asyncio.to_thread(ask, fleet.replicas.kas[1], "DELETE", f"/api/v1/tokens/{tokens[0]['id']}")
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


async def test_graphql_at_one_replica_has_the_connections_of_another(fleet: Fleet) -> None:
    project = fleet.app_name.replace("/app", "/config")
    query = (
        "query($path: ID!) { project(fullPath: $path) { clusterAgents { nodes { name connections { nodes "
        "{ metadata { version } } } } } } }"
    )
    body = {"query": query, "variables": {"path": project}}
    answer = await asyncio.to_thread(ask, fleet.replicas.kas[1], "POST", "/api/graphql", body)
    nodes = answer["data"]["project"]["clusterAgents"]["nodes"]
    connections = {node["name"]: node["connections"]["nodes"] for node in nodes}
    assert connections == {name: [{"metadata": {"version": "1.0"}}] for name in fleet.names}


async def test_a_watch_at_one_replica_is_woken_by_what_another_stores(fleet: Fleet) -> None:
    async with aclosing(watch(fleet.replicas.kas[1], f"syncs?watch=1&agent={fleet.names[0]}")) as lines:
        while (await anext(lines))["type"] != "BOOKMARK":
            pass
        # Without being woken it reads anew only together with a heartbeat: there would be one after every change.
        for attempt in range(12):
            commit = await fleet.push_and_tell(f"watched {attempt}", to=2)
            heartbeats = 0
            async for line in lines:
                heartbeats += line["type"] == "HEARTBEAT"
                shown = line.get("object", {})
                if line["type"] in {"ADDED", "MODIFIED"} and (shown["commit"], shown["state"]) == (commit, "healthy"):
                    break
            if attempt and not heartbeats:
                return
    pytest.fail("the watch was never woken")


async def test_an_agent_that_is_deleted_at_one_replica_loses_its_session_at_another(fleet: Fleet) -> None:
    agent_id = fleet.agent_id(0)
    await asyncio.to_thread(ask, fleet.replicas.kas[1], "DELETE", f"/api/v1/agents/{agent_id}")
    await eventually(lambda: not fleet.players[0].connected, what="the session has ended")
    assert fleet.names[0] not in [agent["name"] for agent in fleet.replicas.kas[2].get("agents")]
    assert fleet.players[1].connected


async def test_two_pods_of_an_agent_at_two_replicas_are_ordered_both_and_the_leader_answers(fleet: Fleet) -> None:
    leader, kas = fleet.players[0], fleet.replicas.kas
    standby = Player(f"grpc://localhost:{kas[1].grpc_port}", leader.token, leads=False)
    async with standby.running():
        await eventually(lambda: standby.commit == leader.commit, what="both have the revision")
        commit = await fleet.push_and_tell("for both", to=2)
        await fleet.all_have(commit)
        await eventually(lambda: standby.commit == commit, what="both have the next one, too")
        for at in range(3):
            answer = await fleet.order(0, "reconcile", {}, at=at)
            assert [item["reason"] for item in answer["items"]] == [""]
        assert [one.id for one in leader.commands] == [one.id for one in standby.commands]
        leader.leads, standby.leads = False, True
        answer = await fleet.order(0, "reconcile", {}, at=2)
        assert [item["reason"] for item in answer["items"]] == [""]
        standby.leads = False
        answer = await fleet.order(0, "reconcile", {}, at=2)
        assert [item["reason"] for item in answer["items"]] == ["NoLeader"]
        assert not standby.acknowledged
        await stored_once(fleet)


async def test_a_replica_that_ends_is_unready_and_served_by_nobody_new_while_its_agents_move(fleet: Fleet) -> None:
    leaving = fleet.replicas.kas[0]
    process = leaving.process
    status, checks = readiness(leaving)
    assert (status, checks) == (200, {"database": (True, ""), "running": (True, ""), "redis": (True, "")})
    process.send_signal(signal.SIGTERM)
    try:
        await eventually(lambda: readiness(leaving)[0] == 503, what="it says that it is not ready")
        checks = readiness(leaving)[1]
        assert not checks or checks["running"] == (False, "")
        fleet.players[0].move_to(fleet.replicas.address)
        await fleet.all_have(await fleet.push_and_tell("while one ends", to=1))
        await eventually(lambda: process.exit_code is not None, what="it has ended", within=60)
        assert process.exit_code == 0
    finally:
        leaving.launch()
    await asyncio.to_thread(leaving.wait_ready)
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)
    await stored_once(fleet)


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


async def test_redis_that_restarts_stops_nobody_and_an_order_under_way_goes_on(fleet: Fleet) -> None:
    kas, player = fleet.replicas.kas, fleet.players[0]
    player.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        ordered = group.create_task(fleet.order(0, "reconcile", {}, at=1))
        await eventually(lambda: bool(player.commands), what="the agent has the order")
        fleet.replicas.redis.kill()
        try:
            await eventually(lambda: "away" in readiness(kas[1])[1]["redis"][1], what="it says so")
            assert readiness(kas[1])[0] == 200
            assert kas[1].metric("kas_replicas") == 1
            (agent,) = kas[1].get("agents", agent=fleet.names[0])
            assert agent["connections"], "what was known last is shown"
        finally:
            fleet.replicas.redis.start()
        player.may_answer.set()
    assert [item["reason"] for item in ordered.result()["items"]] == [""]
    assert len(player.commands) == 1
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)
    answer = await fleet.order(0, "reconcile", {}, at=2)
    assert [item["reason"] for item in answer["items"]] == [""]
    await fleet.all_have(await fleet.push_and_tell("with redis", to=2))


async def test_without_redis_a_push_is_seen_by_all(fleet: Fleet) -> None:
    fleet.replicas.redis.kill()
    try:
        await fleet.all_have(await asyncio.to_thread(fleet.push, "without redis"))
        assert all(kas.ready() for kas in fleet.replicas.kas)
    finally:
        fleet.replicas.redis.start()
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)
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
    await eventually(lambda: all(player.idle for player in fleet.players), what="all is reported")
    for name, player in zip(fleet.names, fleet.players, strict=True):
        events = await asyncio.to_thread(fleet.replicas.kas[2].get, "events", agent=name, limit="500")
        told = [event["message"].removeprefix("report ") for event in events if event["reason"] == "Played"]
        assert sorted(told) == sorted(player.acknowledged)
        (sync,) = await asyncio.to_thread(fleet.replicas.kas[2].syncs, name)
        assert (sync["commit"], sync["state"]) == (player.commit, "healthy")
