from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kas.store.records import EventRecord, TokenRecord
from kas.web.payloads import agent_status
from kas.web.times import time_of
from kas.web.watch import Change, Snapshots

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def token(*, used: datetime | None = None, revoked: datetime | None = None) -> TokenRecord:
    return TokenRecord(1, 1, "", "", AT, used, revoked)


def event(reason: str, at: datetime, source: str = "kas") -> EventRecord:
    return EventRecord(reason, at, source, "Normal", reason, "")


@pytest.mark.parametrize(
    ("tokens", "events", "connected", "status", "seen"),
    [
        ([], [], False, "never connected", None),
        ([token()], [], False, "never connected", None),
        ([token()], [event("TokenRevoked", AT)], False, "never connected", None),
        ([token(used=AT)], [], False, "disconnected", AT),
        ([token(used=AT)], [event("Disconnected", LATER)], False, "disconnected", LATER),
        ([token(used=AT)], [event("ApplyFailed", LATER, "agentk")], False, "disconnected", LATER),
        ([token(used=AT)], [event("Received", LATER)], False, "disconnected", AT),
        ([token(used=AT, revoked=LATER)], [], False, "token revoked", AT),
        ([token(used=AT, revoked=LATER), token()], [], False, "disconnected", AT),
        ([token(used=AT)], [], True, "connected", None),
    ],
)
def test_an_agents_status_comes_from_its_tokens_and_sessions(
    tokens: list[TokenRecord],
    events: list[EventRecord],
    connected: bool,  # noqa: FBT001 -- a column of the table above
    status: str,
    seen: datetime | None,
) -> None:
    assert agent_status(tokens, events, connected=connected) == (status, None if seen is None else time_of(seen))


def test_times_are_utc_with_milliseconds() -> None:
    elsewhere = datetime(2026, 11, 21, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))

    assert time_of(elsewhere) == "2026-11-21T12:00:00.123Z"


async def test_a_snapshot_source_tells_only_the_difference() -> None:
    states: list[dict[object, object]] = [{}, {2: "b", 1: "a"}, {2: "b", 1: "a"}, {3: "c", 2: "B"}]

    async def read() -> dict[object, object]:
        return states.pop(0)

    source = Snapshots(read)
    seen: list[list[Change]] = [await source.changes() for _ in range(4)]

    assert seen == [
        [],
        [("ADDED", "a"), ("ADDED", "b")],
        [],
        [("DELETED", "a"), ("MODIFIED", "B"), ("ADDED", "c")],
    ]
