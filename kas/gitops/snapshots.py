"""Snapshots, each made once however many agents want it: parsed files by blob id, snapshots by what selects them.

Reading and parsing happen off the event loop, so that a large project does not delay the streams of the others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestError, printable_path
from agentlink.manifests.parse import parse_file
from kas.desired.select import compile_globs
from kas.desired.snapshot import build_snapshot
from kas.git.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlink.manifests.model import Limits, ManifestFile
    from kas.desired.model import Snapshot, TreeEntry
    from kas.git.mirror import Mirror, Mirrors

PARSED_CACHE_BYTES = 64 * 1024 * 1024
"""How much parsed JSON is kept by blob id. One full-size project fits; memory stays bounded."""

SNAPSHOT_CACHE_ENTRIES = 256
"""How many snapshots are kept as bases for differences. They share their files with the parsed cache."""

_OBJECT_OVERHEAD = 400
"""Bytes that one parsed object costs beside its JSON, an estimate on the high side: two small objects, strings."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an agent's configuration selects from one project."""

    project: str
    globs: tuple[str, ...]
    default_namespace: str


class ParsedFiles:
    """Parsed files by blob id, least recently used out first."""

    def __init__(self, limit_bytes: int = PARSED_CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._files: OrderedDict[str, ManifestFile] = OrderedDict()
        self._bytes = 0

    def get(self, entry: TreeEntry) -> ManifestFile | None:
        """Return the entry's file, if its content was parsed before, under whichever path."""
        file = self._files.get(entry.blob_id)
        if file is None:
            return None
        self._files.move_to_end(entry.blob_id)
        path = printable_path(entry.path)
        return file if file.path == path else replace(file, path=path)

    def put(self, file: ManifestFile) -> None:
        """Keep a file."""
        if file.blob_id in self._files:
            return
        self._files[file.blob_id] = file
        self._bytes += _cost(file)
        while self._bytes > self._limit and len(self._files) > 1:
            _, dropped = self._files.popitem(last=False)
            self._bytes -= _cost(dropped)


class Snapshots:
    """Makes snapshots; two askers of the same one wait for one making."""

    def __init__(self, mirrors: Mirrors, limits: Limits) -> None:
        self._mirrors = mirrors
        self._limits = limits
        self._parsed = ParsedFiles()
        self._made: OrderedDict[tuple[Wanted, str], Snapshot | ManifestError] = OrderedDict()
        self._making: dict[tuple[Wanted, str], asyncio.Lock] = {}

    async def make(self, wanted: Wanted, commit: str) -> Snapshot:
        """Return what ``wanted`` selects at a fetched commit.

        Raises:
            ManifestError: The revision cannot be used; nothing of it may be applied.
            GitError: The commit cannot be read.
        """
        key = (wanted, commit)
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                made = self._made.get(key)
                if made is None:
                    made = await self._make_or_refuse(wanted, commit)
                    self._made[key] = made
                    while len(self._made) > SNAPSHOT_CACHE_ENTRIES:
                        self._made.popitem(last=False)
                self._made.move_to_end(key)
        finally:
            self._making.pop(key, None)
        if isinstance(made, ManifestError):
            raise made.with_traceback(None)
        return made

    async def base(self, wanted: Wanted, commit: str, digest: bytes) -> Snapshot | None:
        """Return the snapshot that an agent says it holds, None when it cannot be made again."""
        try:
            if not await self._mirrors.mirror(wanted.project).has(commit):
                return None
            made = await self.make(wanted, commit)
        except (ManifestError, GitError):
            return None
        return made if made.digest == digest else None

    async def _make_or_refuse(self, wanted: Wanted, commit: str) -> Snapshot | ManifestError:
        """Make a snapshot; a refusal is kept like one, so that a broken revision is read once for all its agents."""
        try:
            return await self._make(wanted, commit)
        except ManifestError as refusal:
            return refusal

    async def _make(self, wanted: Wanted, commit: str) -> Snapshot:
        mirror = self._mirrors.mirror(wanted.project)
        entries = await mirror.tree(commit)
        selected = await asyncio.to_thread(self._select, wanted, entries)
        files = await self._read(mirror, selected)
        return await asyncio.to_thread(build_snapshot, commit, files, wanted.default_namespace)

    def _select(self, wanted: Wanted, entries: Sequence[TreeEntry]) -> tuple[TreeEntry, ...]:
        return compile_globs(wanted.globs, self._limits).select(entries)

    async def _read(self, mirror: Mirror, selected: Sequence[TreeEntry]) -> list[ManifestFile]:
        files = {entry.path: file for entry in selected if (file := self._parsed.get(entry))}
        missing = [entry for entry in selected if entry.path not in files]
        if missing:
            blobs = await mirror.blobs([entry.blob_id for entry in missing])
            for entry, file in zip(missing, await asyncio.to_thread(self._parse, missing, blobs), strict=True):
                self._parsed.put(file)
                files[entry.path] = file
        return [files[entry.path] for entry in selected]

    def _parse(self, entries: Sequence[TreeEntry], blobs: dict[str, bytes]) -> list[ManifestFile]:
        return [parse_file(entry.path, entry.blob_id, blobs[entry.blob_id], self._limits) for entry in entries]


def _cost(file: ManifestFile) -> int:
    return _OBJECT_OVERHEAD + sum(len(manifest.json) + _OBJECT_OVERHEAD for manifest in file.objects)
