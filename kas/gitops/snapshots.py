"""Snapshots, each made once however many agents want it: parsed files by blob id, snapshots by what selects them.

A snapshot is made from the one before: a commit that changes nothing of what is selected gives the same files under
another number, any other reads and parses what it changed. Reading and parsing happen off the event loop, so that a
large project does not delay the streams of the others. Which files a commit selects is found in ``selections.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentlink.logs import get_logger
from agentlink.manifests.model import ManifestError, printable_path
from kas.desired.foreign import left_out_of, sort_out, touches
from kas.desired.reading import Unusable, read_file
from kas.desired.select import check_sizes
from kas.desired.snapshot import amend_snapshot, build_snapshot
from kas.git.errors import GitError
from kas.gitops.bounded import Bounded
from kas.gitops.links import followed
from kas.gitops.selections import Selections
from kas.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from agentlink.layered import Layered
    from agentlink.manifests.model import Limits, ManifestFile
    from kas.desired.leaves import Leaves
    from kas.desired.model import Snapshot, TreeEntry
    from kas.git.mirror import Mirror
    from kas.git.mirrors import Mirrors

    CameFrom = Callable[[str, Collection[str]], Awaitable[frozenset[str]]]

log = get_logger("gitops")

PARSED_CACHE_BYTES = 64 * 1024 * 1024
"""How much parsed JSON is kept by blob id. One full-size project fits; memory stays bounded."""

KEPT_FILES = 500_000
"""Files of all snapshots that are kept, as bases for differences. Snapshots share what they have in common."""

MADE_BYTES = 512 * 1024 * 1024
"""What all snapshots that are kept by their commit take, if they share nothing; the newest of each is made of what it
was made of before, for nothing. A commit can replace 100 MiB of objects with a few kilobytes of a pack."""

_FILE_BYTES = 1024
"""What a file takes beside its objects."""

_INLINE = 200
"""So many parsed objects become a snapshot on the event loop; a thread would cost more than the work."""

_FEW, _FEW_IN = 16, 64
"""So many changed files, or one in so many, are put into the last snapshot; with more it is made anew."""

_BATCH_BYTES = 1024 * 1024
"""So many bytes of files are read and parsed together, or one file that is larger."""

_SMALL_BYTES = 64 * 1024
_LARGE_AT_A_TIME = 2
"""Batches larger than that wait for each other, over all projects: made for it, one takes forty times its bytes while
it is parsed. More at a time would not be faster: parsing keeps the interpreter to itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an agent's configuration selects from one project."""

    project: str
    globs: tuple[str, ...]
    default_namespace: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A snapshot and what it was made of: what was selected, and that with the files to which links lead."""

    selected: Layered[str, TreeEntry]
    files: Mapping[str, TreeEntry]
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class _Beside:
    """Files of a project that are not read: how many bytes they have, and take."""

    size: int = 0
    cost: int = 0


class ParsedFiles:
    """Parsed files by blob id, least recently used out first."""

    def __init__(self, limit_bytes: int = PARSED_CACHE_BYTES) -> None:
        self._files: Bounded[str, ManifestFile | Unusable] = Bounded(limit_bytes, lambda file: file.cost)

    def get(self, entry: TreeEntry) -> ManifestFile | Unusable | None:
        """Return the entry's file, if its content was parsed before, under whichever path."""
        file = self._files.get(entry.blob_id)
        if file is None:
            return None
        path = printable_path(entry.path)
        return file if file.path == path else replace(file, path=path)

    def put(self, file: ManifestFile | Unusable) -> None:
        """Keep a file."""
        self._files.put(file.blob_id, file)


async def _nowhere(_project: str, _paths: Collection[str]) -> frozenset[str]:
    return frozenset()


class Snapshots:
    """Makes snapshots; two askers of the same one wait for one making."""

    def __init__(self, mirrors: Mirrors, limits: Limits, came_from: CameFrom = _nowhere) -> None:
        """Prepare.

        Args:
            mirrors: Where files are.
            limits: What one project may make kas read.
            came_from: Tells of a project's files from which of them some agent has objects.
        """
        self._mirrors = mirrors
        self._limits = limits
        self._came_from = came_from
        self._parsed = ParsedFiles()
        self._selections = Selections(mirrors, limits)
        self._newest: Bounded[Wanted, _Made] = Bounded(KEPT_FILES, lambda one: 1 + len(one.files))
        self._made: Bounded[tuple[Wanted, str], Snapshot | ManifestError] = Bounded(MADE_BYTES, weight_of)
        self._making: dict[tuple[Wanted, str], asyncio.Event] = {}
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)

    async def make(self, wanted: Wanted, commit: str) -> Snapshot:
        """Return what ``wanted`` selects at a fetched commit.

        Raises:
            ManifestError: The revision cannot be used; nothing of it may be applied.
            GitError: The commit cannot be read.
        """
        key = (wanted, commit)
        while (made := self._made.get(key)) is None:
            if (making := self._making.get(key)) is not None:
                # All go on at once then: where each waited for the one before, the last of ten thousand waited long.
                await making.wait()
                continue
            making = self._making[key] = asyncio.Event()
            try:
                made = await self._make_or_refuse(wanted, commit)
                self._made.put(key, made)
            finally:
                del self._making[key]
                making.set()
        if isinstance(made, ManifestError):
            raise made.with_traceback(None)
        return made

    async def base(self, wanted: Wanted, commit: str, digest: bytes) -> Snapshot | None:
        """Return the snapshot that an agent says it holds, None when it cannot be made again."""
        newest = self._newest.get(wanted)
        if newest is not None and newest.snapshot.digest == digest:
            return newest.snapshot
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
        selection = await self._selections.at(wanted.project, wanted.globs, commit)
        self._selections.selector(wanted.globs).check_count(selection)
        submodules = tuple(sorted(map(printable_path, selection.submodules)))
        last = self._newest.get(wanted)
        amended = None if last is None else await self._amend(mirror, wanted, commit, last, selection.files)
        if amended is not None:
            snapshot = replace(amended, submodules=submodules)
            self._newest.put(wanted, _Made(selection.files, selection.files, snapshot))
            return snapshot
        files = await followed(mirror, commit, selection.files)
        if last is not None and last.files == files:
            snapshot = replace(last.snapshot, commit=commit, submodules=submodules)
            self._newest.put(wanted, _Made(selection.files, files, snapshot))
            return snapshot
        before = None if last is None else last.snapshot.files
        found = await self._read(mirror, tuple(files.values()), before or (), _Beside())
        left = left_out_of(found)
        lost = await self._lost(wanted.project, before, left) if left else frozenset[str]()
        read, left_out = sort_out(found, left, lost)
        if sum(len(file.objects) for file in read) <= _INLINE:
            snapshot = build_snapshot(commit, read, wanted.default_namespace)
        else:
            snapshot = await asyncio.to_thread(build_snapshot, commit, read, wanted.default_namespace)
        snapshot = replace(snapshot, submodules=submodules, left_out=left_out)
        self._newest.put(wanted, _Made(selection.files, files, snapshot))
        return snapshot

    async def _lost(self, project: str, before: Leaves | None, left: Collection[str]) -> frozenset[str]:
        """Return those of the files that are left out from which objects came before, as far as that is known."""
        if before is not None:
            return frozenset(path for path in left if (held := before.at(path)) is not None and held.objects)
        try:
            return await self._came_from(project, left)
        except StoreError as error:
            # What then leaves is not pruned unless somebody confirms it: agents know what selected their objects.
            log.warning("What was a manifest before is not known", project_id=project, why=str(error))
            return frozenset()

    async def _amend(
        self, mirror: Mirror, wanted: Wanted, commit: str, last: _Made, selected: Layered[str, TreeEntry]
    ) -> Snapshot | None:
        """Make a snapshot of the last one and what has changed; None where that is much, or everything must be seen.

        Raises:
            ManifestError: A changed file cannot be used.
            GitError: It cannot be read.
        """
        before = last.snapshot.files
        paths = selected.differing(last.selected)
        if last.files is not last.selected or len(paths) > max(_FEW, len(before) // _FEW_IN):
            return None
        entries = [entry for path in paths if (entry := selected.get(path)) is not None]
        if any(entry.is_link for entry in entries):
            return None
        if touches(map(printable_path, paths), last.snapshot.left_out):
            return None
        held = [one for path in paths if (one := before.at(printable_path(path))) is not None]
        beside = _Beside(before.size - sum(one.size for one in held), before.cost - sum(one.cost for one in held))
        read = await self._read(mirror, entries, held, beside)
        changes: dict[str, ManifestFile | None] = dict.fromkeys(map(printable_path, paths))
        for file in read:
            if isinstance(file, Unusable):
                return None
            changes[file.path] = file
        return amend_snapshot(last.snapshot, commit, changes, wanted.default_namespace)

    async def _read(
        self, mirror: Mirror, entries: Sequence[TreeEntry], before: Iterable[ManifestFile], beside: _Beside
    ) -> list[ManifestFile | Unusable]:
        """Return the files, those that are as before as they were.

        Raises:
            ManifestError: They are too large.
            GitError: They cannot be read.
        """
        held: dict[tuple[str, str], ManifestFile | Unusable] = {(file.path, file.blob_id): file for file in before}
        files: dict[str, ManifestFile | Unusable] = {}
        for entry in entries:
            known = held.get((printable_path(entry.path), entry.blob_id)) or self._parsed.get(entry)
            if known is not None:
                files[entry.path] = known
        missing = [entry for entry in entries if entry.path not in files]
        sizes = await mirror.sizes([entry.blob_id for entry in missing]) if missing else {}
        check_sizes(missing, sizes, self._limits, beside=beside.size + sum(file.size for file in files.values()))
        left = self._limits.project_cost - beside.cost - sum(file.cost for file in files.values())
        for batch in _batches(missing, sizes):
            large = sum(sizes[entry.blob_id] for entry in batch) > _SMALL_BYTES
            async with self._large if large else contextlib.nullcontext():
                blobs = await mirror.blobs([entry.blob_id for entry in batch])
                parsed = await asyncio.to_thread(self._parse, batch, blobs)
                del blobs
            left -= sum(file.cost for file in parsed)
            if left < 0:
                most = self._limits.project_cost
                raise ManifestError("ProjectTooLarge", f"the objects take more than {most} bytes; use several projects")
            for entry, file in zip(batch, parsed, strict=True):
                self._parsed.put(file)
                files[entry.path] = file
        return [files[entry.path] for entry in entries]

    def _parse(self, entries: Sequence[TreeEntry], blobs: dict[str, bytes]) -> list[ManifestFile | Unusable]:
        return [read_file(entry.path, entry.blob_id, blobs[entry.blob_id], self._limits) for entry in entries]


def _batches(entries: Sequence[TreeEntry], sizes: Mapping[str, int]) -> Iterator[list[TreeEntry]]:
    """Cut files into neighbours that are read together."""
    batch: list[TreeEntry] = []
    total = 0
    for entry in entries:
        total += sizes[entry.blob_id]
        if batch and total > _BATCH_BYTES:
            yield batch
            batch, total = [], sizes[entry.blob_id]
        batch.append(entry)
    if batch:
        yield batch


def weight_of(made: Snapshot | ManifestError) -> int:
    """Return how many bytes a snapshot takes at most, or the refusal of one."""
    return _FILE_BYTES if isinstance(made, ManifestError) else made.files.cost + _FILE_BYTES * (1 + len(made.files))
