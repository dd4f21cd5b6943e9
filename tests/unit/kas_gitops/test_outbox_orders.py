"""What people order takes its turn beside the projects, and what goes with it is a difference like any other."""

from __future__ import annotations

from datetime import UTC, datetime

from agentk.gitops.receive import Accompanied, Ordered, Received, Receiver
from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.leaves import Leaves
from kas.desired.model import Snapshot
from kas.gitops.delta import CHUNK_BYTES, Offer
from kas.gitops.outbox import Outbox
from kas.gitops.transfers import Transfers

AT = datetime(2026, 11, 21, tzinfo=UTC)
PROJECT = 7


def snapshot(commit: str, **files: bytes) -> Snapshot:
    made = tuple(
        ManifestFile(path, content.hex(), (ManifestObject(ObjectRef("", "ConfigMap", "", path), content, 1),))
        for path, content in files.items()
    )
    return Snapshot(commit, Leaves.of(made))


def command(command_id: str) -> wire.Command:
    return wire.Command(id=command_id, project_id=PROJECT)


def all_of(outbox: Outbox) -> list[wire.KasMessage]:
    messages = []
    while (message := outbox.take()) is not None:
        messages.append(message)
    return messages


def kinds(messages: list[wire.KasMessage]) -> list[str | None]:
    return [message.WhichOneof("message") for message in messages]


def test_a_command_goes_before_snapshots_and_after_the_configuration() -> None:
    outbox = Outbox({}, lambda: None, Transfers())
    outbox.offer(Offer(PROJECT, "s", snapshot("a", x=b"1"), AT))
    outbox.order(command("one"), None)
    outbox.configure(wire.KasMessage(configuration=wire.Configuration()))
    assert kinds(all_of(outbox)) == [
        *("configuration", "command", "snapshot_header", "snapshot_files", "snapshot_complete"),
    ]


def test_the_snapshot_of_a_command_is_a_difference_to_what_is_held_and_takes_its_place_nowhere() -> None:
    outbox, receiver = Outbox({}, lambda: None, Transfers()), Receiver()
    first = snapshot("a", x=b"1", y=b"1")
    outbox.offer(Offer(PROJECT, "s", first, AT))
    received = [receiver.feed(message) for message in all_of(outbox)]
    assert isinstance(received[-1], Received)

    outbox.order(command("one"), Offer(PROJECT, "", snapshot("b", x=b"2", y=b"1"), AT, "one"))
    messages = all_of(outbox)
    found = [event for message in messages if (event := receiver.feed(message))]
    assert [type(event) for event in found] == [Ordered, Accompanied]
    assert [file.path for message in messages for file in message.snapshot_files.files] == ["x"]
    assert isinstance(found[1], Accompanied)
    assert (found[1].command_id, found[1].snapshot.files) == ("one", {"x": (b"2",), "y": (b"1",)})
    assert outbox._held[PROJECT] is first

    outbox.offer(Offer(PROJECT, "s", snapshot("c", x=b"1", y=b"3"), AT))
    events = [receiver.feed(message) for message in all_of(outbox)]
    assert isinstance(events[-1], Received)
    assert events[-1].snapshot.files == {"x": (b"1",), "y": (b"3",)}


def test_a_large_command_lets_a_small_project_in_between_and_a_withdrawn_one_ends() -> None:
    outbox = Outbox({}, lambda: None, Transfers())
    big = snapshot("b", **{f"f{number}": b"x" * (CHUNK_BYTES - 100) for number in range(3)})
    outbox.order(command("one"), Offer(PROJECT, "", big, AT, "one"))
    outbox.offer(Offer(8, "s", snapshot("a", x=b"1"), AT))
    sent = [outbox.take() for _ in range(4)]
    assert kinds([message for message in sent if message]) == [
        *("command", "snapshot_header", "snapshot_header", "snapshot_files"),
    ]
    outbox.withdraw("one")
    outbox.withdraw("one")
    rest = all_of(outbox)
    assert kinds(rest)[-1] == "snapshot_complete"
    assert all(not message.snapshot_files.command_id for message in rest)
