"""An agent gets the newest first, and no project waits for another one's whole transfer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.model import Snapshot
from kas.gitops.delta import CHUNK_BYTES, Offer
from kas.gitops.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT = datetime(2026, 11, 21, tzinfo=UTC)


def offer(project_id: int, commit: str, *, chunks: int = 1) -> Offer:
    files = tuple(
        ManifestFile(
            f"{number}.yaml",
            f"{commit}-{number}",
            (ManifestObject(ObjectRef("", "ConfigMap", "", "x"), b"x" * (CHUNK_BYTES - 100), 1),),
        )
        for number in range(chunks)
    )
    return Offer(project_id, f"sync-{commit}", Snapshot(commit, commit.encode(), files), AT)


def configuration(commit: str) -> wire.KasMessage:
    return wire.KasMessage(configuration=wire.Configuration(commit=commit))


def describe(message: wire.KasMessage) -> str:
    match message.WhichOneof("message"):
        case "configuration":
            return f"configuration {message.configuration.commit}"
        case "snapshot_header":
            return f"{message.snapshot_header.project_id} begins {message.snapshot_header.commit}"
        case "snapshot_files":
            return f"{message.snapshot_files.project_id} files"
        case _:
            return f"{message.snapshot_complete.project_id} ends"


async def take(messages: AsyncIterator[wire.KasMessage], count: int) -> list[str]:
    return [describe(await anext(messages)) for _ in range(count)]


async def test_the_configuration_goes_before_every_snapshot() -> None:
    outbox = Outbox({})
    outbox.offer(offer(1, "a"))
    outbox.configure(configuration("old"))
    outbox.configure(configuration("new"))

    assert await take(outbox.messages(), 4) == ["configuration new", "1 begins a", "1 files", "1 ends"]


async def test_a_small_project_does_not_wait_for_a_huge_one() -> None:
    outbox = Outbox({})
    outbox.offer(offer(1, "huge", chunks=50))
    messages = outbox.messages()
    await take(messages, 3)

    outbox.offer(offer(2, "small"))

    assert "2 ends" in await take(messages, 7)


async def test_a_newer_revision_takes_the_place_of_one_that_waits_or_is_on_its_way() -> None:
    outbox = Outbox({})
    outbox.offer(offer(1, "a", chunks=3))
    messages = outbox.messages()
    assert await take(messages, 2) == ["1 begins a", "1 files"]

    outbox.offer(offer(1, "b"))
    outbox.offer(offer(1, "c"))

    assert await take(messages, 3) == ["1 begins c", "1 files", "1 ends"]


async def test_what_was_sent_whole_is_the_base_of_the_next_difference() -> None:
    outbox = Outbox({})
    outbox.offer(offer(1, "a"))
    messages = outbox.messages()
    await take(messages, 3)

    outbox.offer(offer(1, "b"))
    header = await anext(messages)

    assert header.snapshot_header.base_digest == b"a"


async def test_a_forgotten_project_is_sent_no_more_and_is_no_base() -> None:
    held: dict[int, Snapshot] = {1: offer(1, "a").snapshot}
    outbox = Outbox(held)
    outbox.offer(offer(1, "b"))

    outbox.forget(1)
    outbox.configure(configuration("after"))

    assert await take(outbox.messages(), 1) == ["configuration after"]
    assert not held
