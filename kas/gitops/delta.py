"""What travels: the difference between the snapshot an agent holds and the one it should hold, as wire messages.

Pure. Messages are cut to a size that lets other projects' messages in between and that every hop accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from agentlink.manifests.model import ManifestFile
    from kas.desired.model import Snapshot

CHUNK_BYTES = 512 * 1024
"""Aim for the size of one message: large enough to be cheap, small enough that a small project waits little."""

_FIELD_OVERHEAD = 16
"""Bytes that one protobuf field costs at the most beside its content."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One snapshot of a project, by id and path, on its way to one agent.

    ``received_at`` is when kas learned of the revision. With ``command_id`` it goes with that command, and is not to be
    synced; ``sync_id`` is empty then. ``selected_by`` are the keys of ``config.yaml`` that selected its files, with a
    text that differs where they do.
    """

    project_id: int
    sync_id: str
    snapshot: Snapshot
    received_at: datetime
    command_id: str = ""
    project: str = ""
    selected_by: tuple[tuple[str, str], ...] = ()


def transfer(offer: Offer, base: Snapshot | None) -> Iterator[wire.KasMessage]:
    """Yield the messages that turn ``base``, which the agent holds (None: nothing), into the offered snapshot."""
    new = offer.snapshot
    changed, removed = new.files.differing(base.files) if base else (list(new.files), [])
    header = wire.SnapshotHeader(
        project_id=offer.project_id,
        commit=new.commit,
        sync_id=offer.sync_id,
        digest=new.digest,
        base_digest=base.digest if base else b"",
        removed_paths=removed,
        total_files=len(new.files),
        total_objects=new.files.objects,
        command_id=offer.command_id,
        project=offer.project,
        selected_by=dict(offer.selected_by),
    )
    header.received_at.FromDatetime(offer.received_at)
    project_id, command_id = offer.project_id, offer.command_id
    yield wire.KasMessage(snapshot_header=header)
    for files in _chunks(changed):
        part = wire.SnapshotFiles(project_id=project_id, files=files, command_id=command_id)
        yield wire.KasMessage(snapshot_files=part)
    complete = wire.SnapshotComplete(project_id=project_id, digest=new.digest, command_id=command_id)
    yield wire.KasMessage(snapshot_complete=complete)


def _chunks(files: list[ManifestFile]) -> Iterator[list[wire.ManifestFile]]:
    """Cut files into messages of about CHUNK_BYTES; a file's objects may go on in the next message."""
    chunk: list[wire.ManifestFile] = []
    size = 0
    for file in files:
        path = file.path
        entry = wire.ManifestFile(path=path)
        chunk.append(entry)
        size += len(path.encode()) + _FIELD_OVERHEAD
        for manifest in file.objects:
            cost = len(manifest.json) + _FIELD_OVERHEAD
            if size + cost > CHUNK_BYTES and (len(chunk) > 1 or entry.objects):
                if not entry.objects and not entry.continuation:
                    chunk.pop()
                    yield chunk
                    entry = wire.ManifestFile(path=path)
                else:
                    yield chunk
                    entry = wire.ManifestFile(path=path, continuation=True)
                chunk = [entry]
                size = len(path.encode()) + _FIELD_OVERHEAD
            entry.objects.append(manifest.json)
            size += cost
    if chunk:
        yield chunk
