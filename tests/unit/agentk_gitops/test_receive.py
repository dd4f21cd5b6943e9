"""Only whole snapshots that fit become visible."""

from __future__ import annotations

import pytest

from agentk.apply.model import DryRun, InventoryPolicy, Propagation
from agentk.gitops.receive import Accompanied, Configured, Ordered, Received, Receiver, TransferError
from agentlink.logs import LEVELS
from agentlink.v1 import agentlink_pb2 as wire


def header(**fields: object) -> wire.KasMessage:
    values = {"project_id": 1, "commit": "c", "sync_id": "s", "digest": b"d", "total_files": 1, "total_objects": 1}
    return wire.KasMessage(snapshot_header=wire.SnapshotHeader(**{**values, **fields}))  # type: ignore[arg-type] # built from a dict


def files(*contents: bytes, path: str = "a.yaml", continuation: bool = False) -> wire.KasMessage:
    entry = wire.ManifestFile(path=path, objects=contents, continuation=continuation)
    return wire.KasMessage(snapshot_files=wire.SnapshotFiles(project_id=1, files=[entry]))


def complete(digest: bytes = b"d") -> wire.KasMessage:
    return wire.KasMessage(snapshot_complete=wire.SnapshotComplete(project_id=1, digest=digest))


def configuration(*project_ids: int) -> wire.KasMessage:
    projects = [wire.ManifestProject(id=project_id, path=f"group/{project_id}") for project_id in project_ids]
    return wire.KasMessage(configuration=wire.Configuration(agent_id=5, projects=projects))


def received(receiver: Receiver) -> None:
    for message in (header(), files(b"{}")):
        assert receiver.feed(message) is None
    assert isinstance(receiver.feed(complete()), Received)


def test_a_file_may_go_on_in_the_next_message() -> None:
    receiver = Receiver()
    receiver.feed(header(total_objects=3))
    receiver.feed(files(b"1", b"2"))
    receiver.feed(files(b"3", continuation=True))

    event = receiver.feed(complete())

    assert isinstance(event, Received)
    assert event.snapshot.files == {"a.yaml": (b"1", b"2", b"3")}


@pytest.mark.parametrize(
    "wrong",
    [header(total_files=2), header(total_objects=2), header(digest=b"other")],
    ids=["files", "objects", "digest"],
)
def test_a_snapshot_that_is_not_whole_never_appears(wrong: wire.KasMessage) -> None:
    receiver = Receiver()
    receiver.feed(wrong)
    receiver.feed(files(b"{}"))

    with pytest.raises(TransferError):
        receiver.feed(complete())

    assert receiver.connected() == []


def test_a_difference_to_something_else_than_what_is_held_is_refused() -> None:
    receiver = Receiver()
    received(receiver)

    with pytest.raises(TransferError, match="not held here"):
        receiver.feed(header(base_digest=b"unknown"))


def test_a_new_header_gives_up_the_transfer_before_it() -> None:
    receiver = Receiver()
    receiver.feed(header(commit="old", total_files=9))
    receiver.feed(files(b"{}", path="old.yaml"))
    receiver.feed(header(commit="new"))
    receiver.feed(files(b"{}"))

    event = receiver.feed(complete())

    assert isinstance(event, Received)
    assert event.snapshot.commit == "new"
    assert list(event.snapshot.files) == ["a.yaml"]


def test_what_is_held_survives_a_broken_connection_and_half_of_a_transfer_does_not() -> None:
    receiver = Receiver()
    received(receiver)
    receiver.feed(header(digest=b"next"))

    (holding,) = receiver.connected()

    assert (holding.project_id, holding.digest) == (1, b"d")
    assert receiver.feed(complete(b"next")) is None


def test_a_project_that_leaves_the_configuration_is_no_longer_held() -> None:
    receiver = Receiver()
    received(receiver)

    receiver.feed(configuration(2))

    assert receiver.connected() == []


def test_messages_of_a_newer_kas_are_ignored() -> None:
    assert Receiver().feed(wire.KasMessage()) is None


def test_a_configuration_without_values_means_the_careful_ones() -> None:
    event = Receiver().feed(configuration(3))

    assert isinstance(event, Configured)
    (settings,) = event.projects
    assert settings.inventory_id == "5-3"
    assert settings.default_namespace == "default"
    assert settings.dry_run is DryRun.NONE
    assert settings.propagation is Propagation.FOREGROUND
    assert settings.inventory_policy is InventoryPolicy.MUST_MATCH
    assert settings.prune is False


def test_a_dry_run_strategy_that_is_not_known_here_changes_nothing_in_the_cluster() -> None:
    message = configuration(3)
    message.configuration.projects[0].dry_run_strategy = 99  # type: ignore[assignment] # as a newer kas may send

    event = Receiver().feed(message)

    assert isinstance(event, Configured)
    assert event.projects[0].dry_run is DryRun.CLIENT


def test_every_level_is_one_that_logging_knows() -> None:
    levels = [name for name, _ in wire.LogLevel.items() if name != "LOG_LEVEL_UNSPECIFIED"]
    messages = [wire.KasMessage(configuration=wire.Configuration(agent_id=5, log_level=level)) for level in levels]

    events = [Receiver().feed(message) for message in messages]

    assert [event.log_level for event in events if isinstance(event, Configured)] == list(LEVELS)


def for_command(command_id: str, content: bytes, **fields: object) -> list[wire.KasMessage]:
    messages = [header(command_id=command_id, **fields), files(content), complete()]
    messages[1].snapshot_files.command_id = command_id
    messages[2].snapshot_complete.command_id = command_id
    return messages


def test_a_command_is_handed_on() -> None:
    message = wire.KasMessage(command=wire.Command(id="x", project_id=1, reconcile=wire.Reconcile()))
    assert Receiver().feed(message) == Ordered(message.command)


def test_the_snapshot_of_a_command_builds_on_what_is_held_and_leaves_it_as_it_is() -> None:
    receiver = Receiver()
    received(receiver)
    messages = for_command("x", b"2", base_digest=b"d", removed_paths=["a.yaml"])

    assert [receiver.feed(message) for message in messages[:2]] == [None, None]
    event = receiver.feed(messages[2])

    assert isinstance(event, Accompanied)
    assert (event.command_id, event.snapshot.files) == ("x", {"a.yaml": (b"2",)})
    assert receiver.connected() == [wire.Holding(project_id=1, commit="c", digest=b"d")]
    assert receiver._held[1].files == {"a.yaml": (b"{}",)}


def test_a_transfer_for_a_command_may_be_interleaved_with_that_of_a_revision() -> None:
    receiver = Receiver()
    ours, other = [header(), files(b"1"), complete()], for_command("x", b"2")
    events = [receiver.feed(message) for pair in zip(ours, other, strict=True) for message in pair]
    assert isinstance(events[4], Received)
    assert events[4].snapshot.files == {"a.yaml": (b"1",)}
    assert isinstance(events[5], Accompanied)
    assert events[5].snapshot.files == {"a.yaml": (b"2",)}


def test_transfers_that_kas_gave_up_do_not_pile_up() -> None:
    receiver = Receiver()
    for number in range(100):
        receiver.feed(for_command(str(number), b"1")[0])
    assert len(receiver._arriving) <= 8
    newest = [receiver.feed(message) for message in for_command("99", b"1")]
    assert isinstance(newest[2], Accompanied)
