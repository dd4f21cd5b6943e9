"""An agent gets the newest first, and no project waits for another one's whole transfer."""

from __future__ import annotations

from datetime import UTC, datetime

from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.leaves import Leaves
from kas.desired.model import Snapshot
from kas.gitops.delta import CHUNK_BYTES, Offer
from kas.gitops.outbox import Outbox
from kas.gitops.transfers import Transfers

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
    return Offer(project_id, f"sync-{commit}", Snapshot(commit, Leaves.of(files)), AT)


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


def new_outbox(held: dict[int, Snapshot] | None = None) -> Outbox:
    return Outbox({} if held is None else held, lambda: None, Transfers())


def take(outbox: Outbox, count: int) -> list[str]:
    messages = [outbox.take() for _ in range(count)]
    return [describe(message) for message in messages if message is not None]


def test_the_configuration_goes_before_every_snapshot() -> None:
    outbox = new_outbox()
    outbox.offer(offer(1, "a"))
    outbox.configure(configuration("old"))
    outbox.configure(configuration("new"))

    assert take(outbox, 4) == ["configuration new", "1 begins a", "1 files", "1 ends"]


def test_a_small_project_does_not_wait_for_a_huge_one() -> None:
    outbox = new_outbox()
    outbox.offer(offer(1, "huge", chunks=50))
    take(outbox, 3)

    outbox.offer(offer(2, "small"))

    assert "2 ends" in take(outbox, 7)


def test_a_newer_revision_takes_the_place_of_one_that_waits_or_is_on_its_way() -> None:
    outbox = new_outbox()
    outbox.offer(offer(1, "a", chunks=3))
    assert take(outbox, 2) == ["1 begins a", "1 files"]

    outbox.offer(offer(1, "b"))
    outbox.offer(offer(1, "c"))

    assert take(outbox, 3) == ["1 begins c", "1 files", "1 ends"]


def test_what_was_sent_whole_is_the_base_of_the_next_difference() -> None:
    outbox = new_outbox()
    outbox.offer(offer(1, "a"))
    take(outbox, 3)

    outbox.offer(offer(1, "b"))
    header = outbox.take()

    assert header is not None
    assert header.snapshot_header.base_digest == offer(1, "a").snapshot.digest


def test_a_forgotten_project_is_sent_no_more_and_is_no_base() -> None:
    held: dict[int, Snapshot] = {1: offer(1, "a").snapshot}
    outbox = new_outbox(held)
    outbox.offer(offer(1, "b"))

    outbox.forget(1)
    outbox.configure(configuration("after"))

    assert take(outbox, 1) == ["configuration after"]
    assert not held


def test_whoever_sends_is_told_when_there_is_something_to_take() -> None:
    told: list[int] = []
    outbox = Outbox({}, lambda: told.append(len(told)), Transfers())
    assert outbox.take() is None

    outbox.configure(configuration("a"))
    outbox.offer(offer(1, "a"))
    outbox.order(wire.Command(id="c"), None)

    assert len(told) == 3


def test_which_installation_speaks_is_said_before_everything_else() -> None:
    outbox = new_outbox()
    outbox.configure(configuration("c"))
    outbox.greet("here")
    first, second = outbox.take(), outbox.take()
    assert first is not None
    assert first.welcome.installation_id == "here"
    assert second is not None
    assert second.WhichOneof("message") == "configuration"
