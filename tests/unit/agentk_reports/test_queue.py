"""Reports wait until kas has stored them, in bounds, newest of each thing only."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentk.apply.model import Result, Snapshot
from agentk.reports.convert import ObjectStatus
from agentk.reports.queue import BATCH_OUTCOMES, WAITING_EVENTS, ReportQueue
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SNAPSHOT = Snapshot(1, "c", "sync-1", b"d", {})


class UnavailableError(Exception):
    pass


class RejectedError(UnavailableError):
    pass


class Receiver:
    """The other end of the queue: keeps what arrived, and fails as it is told to."""

    def __init__(self) -> None:
        self.requests: list[wire.ReportRequest] = []
        self.arrived = asyncio.Event()
        self.failures: list[Exception] = []
        self.poison = ""
        self.online = asyncio.Event()
        self.online.set()

    async def send(self, request: wire.ReportRequest) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.poison and self.poison in str(request):
            raise RejectedError("no sense")
        self.requests.append(request)
        self.arrived.set()

    async def connected(self) -> None:
        await self.online.wait()

    @property
    def outcomes(self) -> list[wire.ObjectOutcome]:
        return [one for request in self.requests for report in request.reports for one in report.outcomes.outcomes]

    @property
    def states(self) -> list[wire.SyncState]:
        return [
            report.sync.state
            for request in self.requests
            for report in request.reports
            if report.WhichOneof("report") == "sync"
        ]


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "default", name)


def make(receiver: Receiver) -> ReportQueue:
    return ReportQueue(receiver.send, connected=receiver.connected, failure=UnavailableError, rejection=RejectedError)


@asynccontextmanager
async def running(queue: ReportQueue) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(queue.run())
        yield
        task.cancel()


async def test_states_arrive_after_the_outcomes_that_led_to_them() -> None:
    receiver = Receiver()
    queue = make(receiver)
    many = BATCH_OUTCOMES * 2 + 1
    queue.outcomes(SNAPSHOT, [ObjectStatus(ref(str(number)), Result.CREATED) for number in range(many)])
    queue.sync(SNAPSHOT, wire.SYNC_STATE_APPLIED)

    await queue.flush()

    assert len(receiver.outcomes) == many
    assert receiver.states == [wire.SYNC_STATE_APPLIED]
    last = receiver.requests[-1]
    assert any(report.WhichOneof("report") == "sync" for report in last.reports)


async def test_what_could_not_be_delivered_stays_until_it_is() -> None:
    receiver = Receiver()
    receiver.failures.append(UnavailableError("gone"))
    queue = make(receiver)
    queue.sync(SNAPSHOT, wire.SYNC_STATE_APPLIED)
    await queue.flush()
    assert receiver.requests == []

    await queue.flush()

    assert receiver.states == [wire.SYNC_STATE_APPLIED]


async def test_a_batch_that_kas_will_never_take_does_not_block_the_next() -> None:
    receiver = Receiver()
    receiver.failures.append(RejectedError("too large"))
    queue = make(receiver)
    queue.sync(SNAPSHOT, wire.SYNC_STATE_APPLIED)
    await queue.flush()

    queue.sync(SNAPSHOT, wire.SYNC_STATE_HEALTHY)
    await queue.flush()

    assert receiver.states == [wire.SYNC_STATE_HEALTHY]


async def test_of_a_batch_that_kas_will_never_take_only_the_one_report_that_spoils_it_is_dropped() -> None:
    receiver = Receiver()
    receiver.poison = "poison"
    queue = make(receiver)
    many = [ref(str(number)) for number in range(BATCH_OUTCOMES + 50)]
    queue.outcomes(SNAPSHOT, [ObjectStatus(one, Result.CREATED) for one in [*many[:7], ref("poison"), *many[7:]]])
    queue.sync(SNAPSHOT, wire.SYNC_STATE_APPLIED)
    queue.event(1, reason="Drift", message="poison")
    queue.event(1, reason="Drift", message="good")

    await queue.flush()

    assert {one.object.name for one in receiver.outcomes} == {one.name for one in many}
    assert receiver.states == [wire.SYNC_STATE_APPLIED]
    events = [r.event.message for q in receiver.requests for r in q.reports if r.WhichOneof("report") == "event"]
    assert events == ["good"]
    assert len(receiver.requests) < 30


async def test_nothing_is_sent_before_there_is_a_connection() -> None:
    receiver = Receiver()
    receiver.online.clear()
    queue = make(receiver)
    queue.sync(SNAPSHOT, wire.SYNC_STATE_APPLIED)

    async with running(queue):
        await asyncio.sleep(0)
        assert receiver.requests == []
        receiver.online.set()
        async with asyncio.timeout(5):
            await receiver.arrived.wait()

    assert receiver.states == [wire.SYNC_STATE_APPLIED]


async def test_of_one_object_only_the_newest_outcome_travels() -> None:
    receiver = Receiver()
    queue = make(receiver)
    queue.outcomes(SNAPSHOT, [ObjectStatus(ref("a"), Result.FAILED, message="old")])
    queue.outcomes(SNAPSHOT, [ObjectStatus(ref("a"), Result.CONFIGURED, message="new")])

    await queue.flush()

    assert [one.message for one in receiver.outcomes] == ["new"]


async def test_news_of_health_does_not_wipe_out_a_result_that_waits() -> None:
    receiver = Receiver()
    queue = make(receiver)
    queue.outcomes(SNAPSHOT, [ObjectStatus(ref("a"), Result.CREATED, path="a.yaml")])
    queue.outcomes(SNAPSHOT, [ObjectStatus(ref("a"), health=wire.HEALTH_IN_PROGRESS, message="0 of 1 available")])

    await queue.flush()

    (outcome,) = receiver.outcomes
    assert (outcome.result, outcome.health) == (wire.RESULT_CREATED, wire.HEALTH_IN_PROGRESS)
    assert (outcome.path, outcome.message) == ("a.yaml", "0 of 1 available")


async def test_while_kas_is_away_the_oldest_events_go_first() -> None:
    receiver = Receiver()
    queue = make(receiver)
    for number in range(WAITING_EVENTS + 5):
        queue.event(1, reason="Drift", message=str(number))

    await queue.flush()

    messages = [report.event.message for request in receiver.requests for report in request.reports]
    assert len(messages) == WAITING_EVENTS
    assert messages[0] == "5"
