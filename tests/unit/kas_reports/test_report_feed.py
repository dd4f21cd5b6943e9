"""The feed: every reader hears everything in order, or is told that it did not; no reader holds up another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from kas.reports.feed import Change, EventAdded, Feed, Resync, Subscription
from kas.store.records import EventRecord


def event(number: int) -> EventAdded:
    return EventAdded(EventRecord(str(number), datetime(2026, 11, 21, tzinfo=UTC), "kas", "Normal", "R", "m"))


async def take(subscription: Subscription, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(10):
        async for change in subscription:
            found.append(change)
            if len(found) == count:
                break
    return found


async def test_every_reader_hears_every_change_in_order() -> None:
    feed = Feed()
    with feed.subscribe() as one, feed.subscribe() as two:
        feed.publish([event(1), event(2)])
        feed.publish([event(3)])
        expected = [event(1), event(2), event(3)]
        assert await take(one, 3) == expected
        assert await take(two, 3) == expected


async def test_a_reader_that_waits_is_woken() -> None:
    feed = Feed()
    with feed.subscribe() as changes:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(take(changes, 1))
            await asyncio.sleep(0)
            feed.publish([event(1)])
        assert reading.result() == [event(1)]


async def test_a_slow_reader_is_told_to_read_anew_and_the_others_lose_nothing() -> None:
    feed = Feed()
    with feed.subscribe(backlog=2) as slow, feed.subscribe() as fast:
        feed.publish(event(number) for number in range(4))
        assert await take(slow, 2) == [Resync(), event(3)]
        assert await take(fast, 4) == [event(number) for number in range(4)]


async def test_a_resync_takes_the_place_of_what_waits() -> None:
    feed = Feed()
    with feed.subscribe() as changes:
        feed.publish([event(1), Resync(), event(2)])
        assert await take(changes, 2) == [Resync(), event(2)]


async def test_closing_ends_readers_after_what_waits_and_new_ones_at_once() -> None:
    feed = Feed()
    with feed.subscribe() as changes:
        feed.publish([event(1)])
        feed.close()
        assert await take(changes, 2) == [event(1)]
    with feed.subscribe() as late:
        assert await take(late, 1) == []


async def test_a_reader_that_left_costs_nothing() -> None:
    feed = Feed()
    with feed.subscribe() as changes:
        pass
    feed.publish([event(1)])
    assert not changes._changes
