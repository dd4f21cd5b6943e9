"""What is acknowledged stays: over SIGKILL in the middle of writing, over writers side by side, over a full disk."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentlink.refs import ObjectRef
from kas.store import sqlite as sqlite_module
from kas.store.batches import Batch
from kas.store.errors import StoreUnavailable
from kas.store.records import EventRecord, ObjectRecord
from kas.store.store import Store

T0 = datetime(2026, 11, 21, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
OBJECTS = 40

# Writes batch after batch, and says so after each; a batch has an event with its number and objects with it too.
WRITER = """
import asyncio, sys
from tests.integration.kas_store.test_store_crash import batch
from kas.store.store import Store

async def main():
    store = await Store.open(sys.argv[1])
    for number in range(10**9):
        await store.batches.write(batch(int(sys.argv[2]), number))
        print(number, flush=True)

asyncio.run(main())
"""


def batch(agent: int, number: int) -> Batch:
    return Batch(
        agent,
        objects=tuple(
            ObjectRecord(agent, 1, ObjectRef("", "ConfigMap", "n", f"c{i}"), "created", "", "", str(number), "", "", T0)
            for i in range(OBJECTS)
        ),
        events=(EventRecord(f"{agent}-{number}", T0, "agentk", "Normal", "Batch", str(number), agent, 1),),
    )


async def fill(store: Store, agent: int) -> None:
    for number in range(2, 1000):
        await store.batches.write(batch(agent, number))


async def test_every_acknowledged_batch_survives_a_kill_and_the_last_one_is_whole(url: str) -> None:
    store = await Store.open(url)
    await store.projects.pin("g/p", 1)
    agent = (await store.agents.create("g/p", "prod")).id
    await store.close()
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRITER,
        url,
        str(agent),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert writer.stdout is not None
    try:
        async with asyncio.timeout(60):
            while int(await writer.stdout.readline()) < 100:
                pass
    finally:
        writer.send_signal(signal.SIGKILL)
    rest = await writer.stdout.read()
    await writer.wait()
    acknowledged = int(rest.splitlines()[-1]) if rest else 100
    store = await Store.open(url)
    events = await store.events.list(after=0, limit=10**9)
    objects = await store.objects.list(agent)
    await store.close()
    numbers = [int(event.message) for event in events]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > acknowledged
    assert {item.message for item in objects} == {str(numbers[-1])}
    assert len(objects) == OBJECTS


async def test_writers_side_by_side_lose_nothing(url: str) -> None:
    one, two = await Store.open(url), await Store.open(url)  # as two processes would: each with its own connections
    await one.projects.pin("g/p", 1)
    agent = (await one.agents.create("g/p", "prod")).id
    stores = [one, two] * 25
    async with asyncio.timeout(60):
        await asyncio.gather(*(store.batches.write(batch(agent, number)) for number, store in enumerate(stores)))
        await asyncio.gather(*(store.projects.id_of(f"g/{number}") for number, store in enumerate(stores)))
        same = await asyncio.gather(*(store.projects.id_of("g/same") for store in stores))
    assert len({event.id for event in await one.events.list(limit=100)}) == 50
    assert len(await two.projects.list()) == 52
    assert len(set(same)) == 1
    await one.close()
    await two.close()


async def test_writers_that_are_cancelled_hold_up_nobody_and_lose_nothing_acknowledged(url: str) -> None:
    store = await Store.open(url)
    await store.projects.pin("g/p", 1)
    agent = (await store.agents.create("g/p", "prod")).id
    kept = []
    for turn in range(20):
        writing = [asyncio.ensure_future(store.batches.write(batch(agent, turn * 10 + n))) for n in range(10)]  # noqa: TID251  # awaited below, whatever becomes of them
        for _ in range(turn * 3):
            await asyncio.sleep(0)  # so that each turn is cancelled at another point
        for task in writing[::2]:
            task.cancel()
        async with asyncio.timeout(30):
            kept += await asyncio.gather(*writing, return_exceptions=True)
    failed = [each for each in kept if isinstance(each, Exception)]
    assert failed == []
    acknowledged = {written.events[0].message for written in kept if not isinstance(written, BaseException)}
    stored = {event.message for event in await store.events.list(limit=1000)}
    assert len(acknowledged) >= 100
    assert stored >= acknowledged
    assert all(isinstance(each, asyncio.CancelledError) for each in kept if isinstance(each, BaseException))
    await store.close()


async def test_a_locked_database_is_unavailable_and_then_available_again(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0)
    store = await Store.open(sqlite_url)
    await store.projects.pin("g/p", 1)
    agent = (await store.agents.create("g/p", "prod")).id
    other = sqlite3.connect(tmp_path / "data" / "kas.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        await store.batches.write(batch(agent, 1))
    with pytest.raises(StoreUnavailable, match="database is locked"):
        await store.ping()
    assert [each.id for each in await store.agents.list()] == [agent]
    other.execute("rollback")
    other.close()
    await store.ping()
    assert (await store.batches.write(batch(agent, 1))).events
    await store.close()


async def test_a_full_disk_is_unavailable_and_what_was_stored_stays(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(sqlite_url)
    await store.projects.pin("g/p", 1)
    agent = (await store.agents.create("g/p", "prod")).id
    await store.batches.write(batch(agent, 1))
    await store.close()
    # SQLite's own measure of a full disk: no more pages than there are.
    connect = sqlite_module._on_connect

    def limited(connection: object, record: object) -> None:
        connect(connection, record)  # type: ignore[arg-type]  # passed on as it came
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA max_page_count = 1")
        cursor.close()

    monkeypatch.setattr(sqlite_module, "_on_connect", limited)
    full = await Store.open(sqlite_url)
    with pytest.raises(StoreUnavailable, match="full"):
        await fill(full, agent)
    stored = [int(event.message) for event in await full.events.list(after=0, limit=10**6)]
    assert stored == list(range(1, len(stored) + 1))
    objects = await full.objects.list(agent)
    assert {item.message for item in objects} == {str(stored[-1])}
    await full.close()
