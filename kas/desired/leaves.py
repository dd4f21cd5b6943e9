"""The files of a snapshot by path, in leaves: what differs from another snapshot is found without a look at the rest.

Files are sorted by path and cut into leaves after every path that its checksum marks, one in a hundred or so. Where the
cuts are depends on nothing but the paths, so that equal files are equal leaves however they came about, and a changed
file makes one leaf anew. A leaf is known by its digest, and the whole by the digests of its leaves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentlink.manifests.model import ManifestFile

_ONE_IN: Final = 128
"""How many paths there are for each that ends a leaf. Who makes up paths that end none pays with time of his own."""

_DIGEST_BYTES: Final = 16
_OF_LEAVES: Final = b"leaves"
"""Keeps the digest of leaves from being one of files."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Neighbours: sorted files, the digest of their paths and contents, how many objects and bytes they hold."""

    files: tuple[ManifestFile, ...]
    digest: bytes
    objects: int
    size: int
    cost: int


@dataclass(frozen=True, slots=True)
class Leaves(Collection["ManifestFile"]):
    """Files sorted by path, each path once. ``digest`` is equal where paths and contents are.

    ``objects`` is how many they hold, ``size`` how many bytes they are read from, ``cost`` what they take in memory.
    """

    leaves: tuple[_Leaf, ...]
    digest: bytes
    length: int
    objects: int
    size: int
    cost: int

    @classmethod
    def of(cls, files: Iterable[ManifestFile]) -> Leaves:
        """Put files in order."""
        made: list[_Leaf] = []
        rest = _cut(sorted(files, key=_path_of), made)
        return cls._with([*made, _leaf(rest)] if rest else made)

    @classmethod
    def _with(cls, leaves: Sequence[_Leaf]) -> Leaves:
        digest = blake2b(b"".join(leaf.digest for leaf in leaves), digest_size=_DIGEST_BYTES, person=_OF_LEAVES)
        return cls(
            tuple(leaves),
            digest.digest(),
            sum(len(leaf.files) for leaf in leaves),
            sum(leaf.objects for leaf in leaves),
            sum(leaf.size for leaf in leaves),
            sum(leaf.cost for leaf in leaves),
        )

    def at(self, path: str) -> ManifestFile | None:
        """Return the file with a path, None where there is none."""
        if not self.leaves:
            return None
        files = self.leaves[self._place(path)].files
        place = bisect_left(files, path, key=_path_of)
        return files[place] if place < len(files) and files[place].path == path else None

    def changed(self, changes: Mapping[str, ManifestFile | None]) -> Leaves:
        """Return these files with others in their place, or with more; None takes one out."""
        if not changes:
            return self
        by_leaf: dict[int, dict[str, ManifestFile | None]] = {}
        for path, file in changes.items():
            by_leaf.setdefault(self._place(path), {})[path] = file
        made: list[_Leaf] = []
        rest: list[ManifestFile] = []
        for number, leaf in enumerate(self.leaves or (_leaf(()),)):
            news = by_leaf.get(number)
            if news is not None:
                files = {**{file.path: file for file in leaf.files}, **news}
                rest = _cut([*rest, *(file for _, file in sorted(files.items()) if file is not None)], made)
            elif rest:
                # The path that ended the leaf before is gone.
                rest = _cut([*rest, *leaf.files], made)
            else:
                made.append(leaf)
        return self._with([*made, _leaf(rest)] if rest else made)

    def differing(self, before: Leaves) -> tuple[list[ManifestFile], list[str]]:
        """Return the files that are not in ``before``, or not so, and the paths that are only there."""
        here, there = ({leaf.digest for leaf in one.leaves} for one in (self, before))
        held = {file.path: file.blob_id for leaf in before.leaves if leaf.digest not in here for file in leaf.files}
        changed = [
            file
            for leaf in self.leaves
            if leaf.digest not in there
            for file in leaf.files
            if held.pop(file.path, None) != file.blob_id
        ]
        return changed, list(held)

    def _place(self, path: str) -> int:
        """Return the number of the leaf where a path is, if it is anywhere, or belongs."""
        place = bisect_left(self.leaves, path, key=_end_of)
        return min(place, max(len(self.leaves) - 1, 0))

    def __iter__(self) -> Iterator[ManifestFile]:
        """Yield the files, sorted by path."""
        return chain.from_iterable(leaf.files for leaf in self.leaves)

    def __len__(self) -> int:
        """Return how many files there are."""
        return self.length

    def __contains__(self, file: object) -> bool:
        """Tell whether this very file is here."""
        return any(file in leaf.files for leaf in self.leaves)


def _path_of(file: ManifestFile) -> str:
    return file.path


def _end_of(leaf: _Leaf) -> str:
    return leaf.files[-1].path


def _cut(files: Sequence[ManifestFile], made: list[_Leaf]) -> list[ManifestFile]:
    """Cut sorted files into leaves, which ``made`` gets; return those after the last cut."""
    begin = 0
    for place, file in enumerate(files, 1):
        if not crc32(file.path.encode()) % _ONE_IN:
            made.append(_leaf(files[begin:place]))
            begin = place
    return list(files[begin:])


def _leaf(files: Sequence[ManifestFile]) -> _Leaf:
    # Neither a printable path nor a blob id holds a NUL, so no two lists of files run together to the same bytes.
    named = "".join([f"{file.path}\0{file.blob_id}\0" for file in files]).encode()
    digest = blake2b(named, digest_size=_DIGEST_BYTES).digest()
    return _Leaf(
        tuple(files),
        digest,
        sum(len(file.objects) for file in files),
        sum(file.size for file in files),
        sum(file.cost for file in files),
    )
