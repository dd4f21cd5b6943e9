"""The files of a revision, kept small: compressed, many together, and read again where they are needed.

Every object is needed once, when it is first applied; after that a few at a time are, because Git or somebody else
changed them. So what is kept of tens of thousands of manifests is a fraction of their text: 6 bytes of 150 for very
similar ones, a sixth of most.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from agentlink.layered import Layered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOGETHER: Final = 16 << 10
"""Bytes of text from which on a bundle is full. Twice that is a tenth smaller, and takes twice as long to look into."""

_QUICKLY: Final = 1
"""Level of compression; takes 0.7 µs for one of those 150 bytes, and higher levels save little."""

_OPEN: Final = 16
"""Bundles whose text is at hand: as many projects may be applying their files side by side, one after the other."""

_LOOSE: Final = 32
"""Bundles that are far from full, as every commit brings one, before they are put together."""


class _Bundle:
    """Some files, compressed. Which of them are still in force, ``Files`` knows."""

    __slots__ = ("packed", "paths", "size")

    def __init__(self, files: Mapping[str, tuple[bytes, ...]]) -> None:
        self.paths = tuple(files)
        lengths = orjson.dumps([[len(text) for text in texts] for texts in files.values()])
        together = b"".join(text for texts in files.values() for text in texts)
        self.size = len(together)
        self.packed = zlib.compress(b"%b\n%b" % (lengths, together), _QUICKLY)


@lru_cache(maxsize=_OPEN)
def _opened(bundle: _Bundle) -> Mapping[str, tuple[bytes, ...]]:
    lengths, _, together = zlib.decompress(bundle.packed).partition(b"\n")
    files: dict[str, tuple[bytes, ...]] = {}
    end = 0
    for path, sizes in zip(bundle.paths, orjson.loads(lengths), strict=True):
        texts = []
        for size in sizes:
            begin, end = end, end + size
            texts.append(together[begin:end])
        files[path] = tuple(texts)
    return files


class Files(Mapping[str, tuple[bytes, ...]]):
    """For each path the texts of its objects, in the order in which the paths came. It never changes.

    The revisions of one project share what is the same in them, so that the next one costs what it changes.
    ``objects`` is how many there are in all.
    """

    __slots__ = ("_in_force", "_places", "objects")

    def __init__(self, places: Layered[str, _Bundle], in_force: dict[_Bundle, int], objects: int) -> None:
        """Take what ``Packing`` or ``only`` has made; ``of`` is for everybody else.

        Args:
            places: Where each file is.
            in_force: How many files of each bundle are there by ``places``.
            objects: In all.
        """
        self._places = places
        self._in_force = in_force
        self.objects = objects

    @classmethod
    def of(cls, files: Mapping[str, tuple[bytes, ...]]) -> Files:
        """Pack files; what is packed already is returned as it is."""
        if isinstance(files, Files):
            return files
        packing = NO_FILES.changing()
        for path, texts in files.items():
            packing.put(path, texts)
        return packing.finish()

    def only(self, paths: Iterable[str]) -> Files:
        """Return those of these files that are here; they are not packed anew."""
        places = {path: bundle for path in paths if (bundle := self._places.get(path)) is not None}
        in_force: dict[_Bundle, int] = {}
        for bundle in places.values():
            in_force[bundle] = in_force.get(bundle, 0) + 1
        return Files(Layered(places), in_force, sum(len(_opened(bundle)[path]) for path, bundle in places.items()))

    def texts(self) -> Iterator[tuple[str, tuple[bytes, ...]]]:
        """Yield every path with its texts; the quickest way to all of them."""
        at_hand: _Bundle | None = None
        files: Mapping[str, tuple[bytes, ...]] = {}
        for path, bundle in self._places.items():
            if bundle is not at_hand:
                at_hand, files = bundle, _opened(bundle)
            yield path, files[path]

    def includes(self, other: Files) -> bool:
        """Tell whether every path of the others is here too."""
        return all(path in self._places for path in self._places.differing(other._places))

    def differing(self, before: Files) -> list[str]:
        """Return the paths of the files that are not in ``before``, or not so."""
        moved = self._places.differing(before._places)
        return [path for path in moved if path in self._places and before.get(path) != self[path]]

    def changing(self) -> Packing:
        """Begin with the next revision."""
        return Packing(self._places, dict(self._in_force), self.objects)

    def __getitem__(self, path: str) -> tuple[bytes, ...]:
        """Return the texts of a file."""
        return _opened(self._places[path])[path]

    def __iter__(self) -> Iterator[str]:
        """Yield the paths."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._places)

    def __contains__(self, path: object) -> bool:
        """Tell whether there is a file, without looking into it."""
        return path in self._places


class Packing:
    """Files in the making: those of an earlier revision, with what has changed."""

    def __init__(self, before: Layered[str, _Bundle], in_force: dict[_Bundle, int], objects: int) -> None:
        """Begin with what ``Files`` are made of; ``in_force`` is changed."""
        self._before = before
        self._places: dict[str, _Bundle | None] = {}
        self._in_force = in_force
        self._objects = objects
        self._open: dict[str, tuple[bytes, ...]] = {}
        self._size = 0

    def put(self, path: str, texts: tuple[bytes, ...], *, more: bool = False) -> None:
        """Take in a file in place of the one with its path; ``more``: texts that come after those it has."""
        if more:
            texts = self._texts(path) + texts
        elif self._size >= _TOGETHER:
            self._pack()
        self._take_out(path)
        self._open[path] = texts
        self._size += sum(map(len, texts))
        self._objects += len(texts)

    def remove(self, path: str) -> None:
        """Take a file out, if there is one."""
        self._take_out(path)
        self._open.pop(path, None)
        self._places[path] = None

    def finish(self) -> Files:
        """Return the files; this is of no use any more then."""
        self._pack()
        self._put_together()
        return Files(self._before.changed(self._places), self._in_force, self._objects)

    def _place(self, path: str) -> _Bundle | None:
        return self._places[path] if path in self._places else self._before.get(path)

    def _texts(self, path: str) -> tuple[bytes, ...]:
        found = self._open.get(path)
        if found is None:
            bundle = self._place(path)
            found = _opened(bundle)[path] if bundle is not None else ()
        return found

    def _take_out(self, path: str) -> None:
        """Count a file as not there; one that was packed keeps its place among the paths."""
        self._objects -= len(self._texts(path))
        if (texts := self._open.get(path)) is not None:
            self._size -= sum(map(len, texts))
        elif (bundle := self._place(path)) is not None:
            self._leave(bundle)

    def _leave(self, bundle: _Bundle) -> None:
        self._in_force[bundle] -= 1
        if not self._in_force[bundle]:
            del self._in_force[bundle]

    def _pack(self) -> None:
        if self._open:
            bundle = _Bundle(self._open)
            self._in_force[bundle] = len(self._open)
            self._places.update(dict.fromkeys(self._open, bundle))
            self._open, self._size = {}, 0

    def _put_together(self) -> None:
        """Pack anew what is mostly out of force, and what is far from full when there is much of that."""
        chosen = [bundle for bundle in self._in_force if bundle.size * 4 < _TOGETHER]
        if len(chosen) <= _LOOSE:
            chosen = []
        chosen += [bundle for bundle, files in self._in_force.items() if files * 2 < len(bundle.paths)]
        for bundle in dict.fromkeys(chosen):
            for path, texts in _opened(bundle).items():
                if self._place(path) is bundle:
                    if self._size >= _TOGETHER:
                        self._pack()
                    self._open[path] = texts
                    self._size += sum(map(len, texts))
            del self._in_force[bundle]
        self._pack()


NO_FILES: Final = Files(Layered({}), {}, 0)
"""Of a project of which nothing has been seen."""
