"""Whoever reaches Redis, or sits between kas and it, can delay, and nothing else (``docs/decisions/0024``).

Two kas, PostgreSQL and a Redis that somebody else reaches, too: records everything, reads it, says it again, forges,
and writes over keys. After each attack something rightful is done that passes behind it, so what did not happen until
then does not happen.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.git.refs import RefKind
from tests.support.fleet import Fleet, fleet_of
from tests.support.git_server import GitServer
from tests.support.manifests import config_map
from tests.support.postgres import PostgresServer
from tests.support.redis_attacker import RedisAttacker, readable
from tests.support.replicas import Replicas
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

MARKER = "the-text-of-a-manifest-that-is-nobody-elses"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replicas, GitServer]]:
    directory = tmp_path_factory.mktemp("hostile")
    with (
        PostgresServer() as postgres,
        GitServer(directory / "git") as git,
        Replicas(directory, git.template, postgres, count=2, poll_interval="1s") as found,
    ):
        yield found, git


@pytest.fixture
def attacker(running: tuple[Replicas, GitServer]) -> Iterator[RedisAttacker]:
    with RedisAttacker(running[0].redis.url) as found:
        yield found


@pytest.fixture
async def fleet(
    running: tuple[Replicas, GitServer], attacker: RedisAttacker, request: pytest.FixtureRequest
) -> AsyncIterator[Fleet]:
    del attacker  # records before anything is said
    replicas, git = running
    group = f"hostile-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    async with fleet_of(replicas, git, group) as found:
        yield found


async def test_nothing_that_crosses_redis_can_be_read(fleet: Fleet, attacker: RedisAttacker) -> None:
    commits = [await fleet.push_and_tell(f"{MARKER}-{at}", to=at) for at in range(2)]
    await fleet.all_have(commits[-1])
    for at in range(2):
        await fleet.order(0, "suspend", {"project": fleet.app_name, "reason": MARKER}, at=at)
        await fleet.order(0, "resume", {"project": fleet.app_name}, at=at)
        answer = await fleet.order(0, "reconcile", {}, at=at)
        assert [item["reason"] for item in answer["items"]] == [""]

    carried = readable(attacker.carried())

    assert len(attacker.channels) >= 3, "it was said to all and to each"
    secrets = [MARKER, *commits, fleet.app_name, *fleet.names, fleet.players[0].commands[0].id]
    assert [text for text in secrets if text.encode() in carried] == []
    project = hashlib.sha256(fleet.app_name.encode()).hexdigest()[:32]
    assert project.encode() not in carried, "nor can a guessed name be looked for"


async def test_what_a_stranger_says_is_neither_delivered_nor_ordered_nor_ends_anything(
    fleet: Fleet, attacker: RedisAttacker
) -> None:
    unmerged = push_unmerged(fleet)
    kas = fleet.replicas.kas
    agents = {name: fleet.agent_id(number) for number, name in enumerate(fleet.names)}
    tokens = [kas[0].get(f"agents/{agent}/tokens")[0]["id"] for agent in agents.values()]
    ref = hashlib.sha256("\0".join((str(RefKind.DEFAULT), "")).encode()).hexdigest()[:32]
    told = {"project": fleet.app_name, "ref": ref, "commit": unmerged, "error": None, "at": "2999-01-01T00:00:00+00:00"}
    order = wire.Command(id="forged", project_id=0)
    order.reconcile.SetInParent()

    for agent, token in zip(agents.values(), tokens, strict=True):
        head = orjson.dumps({"kind": "give", "id": "forged", "agent": agent, "within": 60, "revision": None, "next": 0})
        said = [
            (b"refs", orjson.dumps(told)),
            (b"commands", struct.pack("!I", len(head)) + head + order.SerializeToString()),
            (b"ended", orjson.dumps({"token": token})),
            (b"ended", orjson.dumps({"agent": agent})),
            (b"presence", orjson.dumps({"kind": "left"})),
        ]
        for channel in {b"kas3:", *attacker.channels}:
            for number, (topic, body) in enumerate(said):
                attacker.say(channel, as_it_was_spoken(topic, body, number=number))
    await fleet.all_have(merged := await fleet.push_and_tell("merged", to=1))
    for number in range(2):
        await fleet.order(number, "reconcile", {}, at=1 - number)

    for player in fleet.players:
        assert [snapshot.commit for snapshot in player.applied][1:] == [merged]
        assert "forged" not in [command.id for command in player.commands]
        assert len(player.configurations) == 1, "it has never connected anew"
    assert all(kas_.metric("kas_replicas") == 2 for kas_ in kas)


async def test_what_was_recorded_does_nothing_again_not_even_after_a_restart(
    fleet: Fleet, attacker: RedisAttacker
) -> None:
    commits = [await fleet.push_and_tell(f"recorded {at}", to=at) for at in range(2)]
    await fleet.all_have(commits[-1])
    for number in range(2):
        await fleet.order(number, "reconcile", {}, at=1 - number)
    recorded = list(attacker.recorded)

    async def is_in_vain(value: str) -> None:
        orders = [len(player.commands) for player in fleet.players]
        damaged = [(channel, flipped(data)) for channel, data in recorded]
        for again in (recorded, recorded[::-1], damaged):
            await asyncio.to_thread(attacker.replay, again)
        await asyncio.to_thread(attacker.replay, recorded[-200:], elsewhere=True)
        commits.append(await fleet.push_and_tell(value, to=0))
        await fleet.all_have(commits[-1])
        for number in range(2):
            answer = await fleet.order(number, "reconcile", {}, at=1 - number)
            assert [item["reason"] for item in answer["items"]] == [""]
        assert [len(player.commands) for player in fleet.players] == [count + 1 for count in orders]

    await is_in_vain("after it")
    kas = fleet.replicas.kas[0]
    refused = [name for name in ("forged", "replayed") if kas.metric(refused_metric(name)) > 0]
    assert refused == ["forged", "replayed"], "and it is counted"
    kas.kill()
    kas.launch()
    await asyncio.to_thread(kas.wait_ready)
    await asyncio.to_thread(fleet.replicas.wait_for_each_other)
    await eventually(lambda: fleet.players[0].connected, what="its agent is back")
    await is_in_vain("after a restart")
    for player in fleet.players:
        assert [snapshot.commit for snapshot in player.applied][1:] == commits


@pytest.mark.parametrize("how", ["garbage", "swapped"])
async def test_leases_that_somebody_else_writes_keep_no_push_back(
    fleet: Fleet, attacker: RedisAttacker, how: str
) -> None:
    await eventually(lambda: bool(attacker.keys()), what="there are leases")
    before = attacker.keys()
    values = list(before.values())[::-1]
    for key, value in zip(before, values, strict=True):
        attacker.client.set(key, value if how == "swapped" else b"x" * 200)

    await fleet.all_have(await asyncio.to_thread(fleet.push, f"in spite of {how}"), within=45)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_redis_beyond_this_machine_without_a_password_is_refused(tmp_path: Path, command: str) -> None:
    settings = tmp_path / "kas.yaml"
    settings.write_text(f"data_dir: {tmp_path}\ndatabase: postgresql://db/kas\nredis: redis://kas@192.0.2.1:6379/0\n")
    arguments = [sys.executable, "-m", "kas", command, "--config", str(settings)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "redis_password_file" in ended.stdout + ended.stderr


def refused_metric(reason: str) -> str:
    return f'kas_redis_refused_total{{reason="{reason}"}}'


def as_it_was_spoken(topic: bytes, body: bytes, *, number: int) -> bytes:
    """Say something as replicas did when they believed whoever reached Redis."""
    sender = hashlib.sha256(topic + body).hexdigest()[:32].encode()
    return struct.pack("!32sQB", sender, number, len(topic)) + topic + body


def flipped(data: bytes) -> bytes:
    """Return the same with one bit of it another."""
    mangled = bytearray(data)
    mangled[random.Random(len(data)).randrange(len(data))] ^= 1  # noqa: S311 - to be repeated
    return bytes(mangled)


def push_unmerged(fleet: Fleet) -> str:
    """Push a commit that nobody merged: the server has it, and the default branch has not."""
    fleet.app.write({"manifests/app.yaml": config_map("app", "unmerged")})
    fleet.app.git("commit", "--quiet", "--all", "--message", "unmerged")
    commit = fleet.app.git("rev-parse", "HEAD")
    fleet.app.git("push", "--quiet", "origin", "HEAD:refs/heads/unmerged")
    fleet.app.git("reset", "--quiet", "--hard", "HEAD~1")
    return commit
