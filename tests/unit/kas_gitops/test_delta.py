"""What kas sends is what agentk holds afterwards, and no more of it travels than changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.gitops.receive import Received, Receiver
from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from kas.desired.leaves import Leaves
from kas.desired.model import Snapshot
from kas.gitops.delta import CHUNK_BYTES, Offer, transfer

if TYPE_CHECKING:
    from agentlink.v1 import agentlink_pb2 as wire

AT = datetime(2026, 11, 21, tzinfo=UTC)
PROJECT = 7


def file(path: str, *contents: bytes) -> ManifestFile:
    objects = tuple(ManifestObject(ObjectRef("", "ConfigMap", "", path), content, 1) for content in contents)
    return ManifestFile(path, f"{path}:{contents!r}", objects)


def snapshot(*files: ManifestFile, commit: str = "c1") -> Snapshot:
    return Snapshot(commit, Leaves.of(files))


def send(receiver: Receiver, new: Snapshot, base: Snapshot | None = None) -> list[wire.KasMessage]:
    messages = list(transfer(Offer(PROJECT, "sync", new, AT), base))
    events = [receiver.feed(message) for message in messages]
    assert isinstance(events[-1], Received)
    return messages


CONTENTS = st.lists(st.binary(max_size=20), max_size=3).map(tuple)
TREES = st.dictionaries(st.sampled_from(["a", "b", "c/d", "e"]), CONTENTS)


@given(before=TREES, after=TREES)
def test_a_difference_turns_one_tree_into_the_other(
    before: dict[str, tuple[bytes, ...]], after: dict[str, tuple[bytes, ...]]
) -> None:
    receiver = Receiver()
    old = snapshot(*(file(path, *contents) for path, contents in before.items()))
    new = snapshot(*(file(path, *contents) for path, contents in after.items()))
    send(receiver, old)

    messages = list(transfer(Offer(PROJECT, "sync", new, AT), old))
    received = [receiver.feed(message) for message in messages][-1]

    assert isinstance(received, Received)
    assert dict(received.snapshot.files) == after


def test_one_changed_file_among_many_travels_alone() -> None:
    old = snapshot(*(file(f"{number}.yaml", b"{}") for number in range(1000)))
    new = snapshot(*(file(f"{number}.yaml", b"{}" if number else b"[]") for number in range(1000)))

    header, files, complete = transfer(Offer(PROJECT, "sync", new, AT), old)

    assert [one.path for one in files.snapshot_files.files] == ["0.yaml"]
    assert header.snapshot_header.total_files == 1000
    assert not header.snapshot_header.removed_paths
    assert complete.WhichOneof("message") == "snapshot_complete"


def test_the_same_tree_moves_no_file() -> None:
    same = snapshot(file("a.yaml", b"{}"))

    kinds = [message.WhichOneof("message") for message in transfer(Offer(PROJECT, "sync", same, AT), same)]

    assert kinds == ["snapshot_header", "snapshot_complete"]


@pytest.mark.parametrize("objects", [1, 5])
def test_messages_stay_small_unless_one_object_is_larger(objects: int) -> None:
    large = tuple(bytes([number]) * (CHUNK_BYTES // 2 + 1) for number in range(objects))
    receiver = Receiver()

    messages = send(receiver, snapshot(file("a.yaml", b"{}"), file("big.yaml", *large), file("z.yaml", b"{}")))

    for message in (one for one in messages if one.WhichOneof("message") == "snapshot_files"):
        most = max((len(o) for one in message.snapshot_files.files for o in one.objects), default=0)
        assert message.ByteSize() < max(CHUNK_BYTES, most) + 1024
    final = [receiver.feed(message) for message in messages][-1]
    assert isinstance(final, Received)
    assert final.snapshot.files["big.yaml"] == large
