"""What kas itself notes about revisions, as people find it in the store and the feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kas.reports.feed import Change, EventAdded, Feed, Subscription, SyncChanged
from kas.reports.sync_log import SyncLog
from kas.store.records import CONFIGURATION_REF, SyncKind, SyncState

if TYPE_CHECKING:
    from kas.reports.sink import Identity
    from kas.store.store import Store


@dataclass(frozen=True)
class Finding:
    key: str
    line: int
    message: str


def waiting(subscription: Subscription) -> list[Change]:
    return list(subscription._changes)


async def events(store: Store) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in await store.events.list()]


async def test_a_revision_that_is_sent_is_a_sync_with_its_number_of_objects(
    store: Store, feed: Feed, identity: Identity
) -> None:
    log = SyncLog(store, feed)
    with feed.subscribe() as changes:
        await log.received(identity, "g/p", "branch main", "c1", "s1", objects=4)
        (sync,) = await store.syncs.list()
        (event,) = await store.events.list()
        assert waiting(changes) == [SyncChanged(sync), EventAdded(event)]
    assert (sync.id, sync.state, sync.commit, sync.ref) == ("s1", SyncState.RECEIVED, "c1", "branch main")
    assert sync.counts.total == 4
    assert (event.source, event.reason, event.sync_id) == ("kas", "Received", "s1")
    assert event.message == "g/p: branch main is at c1"


async def test_a_reconnect_is_no_news(store: Store, feed: Feed, identity: Identity) -> None:
    log = SyncLog(store, feed)
    await log.received(identity, "g/p", "branch main", "c1", "s1")
    with feed.subscribe() as changes:
        await log.received(identity, "g/p", "branch main", "c1", "s1")
        assert waiting(changes) == []
    assert len(await events(store)) == 1


async def test_a_refused_revision_is_a_failed_sync_until_a_better_one_comes(
    store: Store, feed: Feed, identity: Identity
) -> None:
    log = SyncLog(store, feed)
    await log.received(identity, "g/p", "branch main", "c1", "s1")
    for _ in range(3):
        await log.failed(identity, "g/p", "branch main", "c2", "InvalidYAML", "a.yaml:3: expected a value\x1b[2J")
    (sync,) = await store.syncs.list()
    assert (sync.state, sync.kind, sync.commit, sync.reason) == (
        SyncState.FAILED,
        SyncKind.REFUSAL,
        "c2",
        "InvalidYAML",
    )
    assert sync.message == "a.yaml:3: expected a value\\x1b[2J"
    assert [reason for _, reason, _ in await events(store)] == ["Received", "InvalidYAML"]
    await log.received(identity, "g/p", "branch main", "c3", "s3")
    assert [sync.id for sync in await store.syncs.list()] == ["s3"]


async def test_a_repository_that_vanishes_and_returns_shows_both(store: Store, feed: Feed, identity: Identity) -> None:
    log = SyncLog(store, feed)
    await log.received(identity, "g/p", "branch main", "c1", "s1")
    await log.failed(identity, "g/p", "branch main", "", "RepositoryNotFound", "g/p is not there")
    assert (await store.syncs.list())[0].reason == "RepositoryNotFound"
    await log.recovered(identity, "g/p", "branch main")
    await log.recovered(identity, "g/p", "branch main")
    assert [sync.id for sync in await store.syncs.list()] == ["s1"]
    assert [reason for _, reason, _ in await events(store)] == ["Received", "RepositoryNotFound", "Recovered"]


async def test_a_broken_configuration_is_shown_beside_what_runs(store: Store, feed: Feed, identity: Identity) -> None:
    log = SyncLog(store, feed)
    await log.recovered(identity, "g/p", CONFIGURATION_REF)
    await log.received(identity, "g/p", "branch main", "c1", "s1")
    await log.failed(identity, "g/p", CONFIGURATION_REF, "c2", "InvalidConfiguration", "config.yaml:2: gitops")
    shown = {sync.kind: sync.state for sync in await store.syncs.list()}
    assert shown == {SyncKind.CONFIGURATION: SyncState.FAILED, SyncKind.REVISION: SyncState.RECEIVED}
    await log.recovered(identity, "g/p", CONFIGURATION_REF)
    assert [sync.kind for sync in await store.syncs.list()] == [SyncKind.REVISION]
    assert (await events(store))[-1] == ("Normal", "Recovered", "g/p: the configuration can be used again")


async def test_warnings_about_a_configuration_are_told_once_for_each_commit(
    store: Store, feed: Feed, identity: Identity
) -> None:
    log = SyncLog(store, feed)
    findings = [Finding("gitops.foo", 3, "unknown key"), Finding("bar", 9, "unknown key")]
    for commit in ("c1", "c1", "c2"):
        await log.warned(identity, "g/p", commit, "config.yaml", findings)
    assert await events(store) == 2 * [
        ("Warning", "ConfigurationWarning", "config.yaml:3: gitops.foo: unknown key"),
        ("Warning", "ConfigurationWarning", "config.yaml:9: bar: unknown key"),
    ]
