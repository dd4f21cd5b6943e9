"""What small packs brought a moment ago, kept in memory: a first look at a small repository starts no git to read it.

It is all on disk as well, so that nothing is lost with it; whatever is not known here is read there.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kas.git.reader import Info, LedTo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kas.git.small_packs import Stored

MOST_BYTES: Final = 16 * 1024**2
"""Over all mirrors; those that came longest ago go first."""

_OBJECT_BYTES: Final = 250
"""What an object takes beside its content."""

_NAME: Final = re.compile(r"([0-9a-f]{40})(?:\^\{(commit|tree)\})?")


class NotFreshError(LookupError):
    """Not everything that is asked for came a moment ago."""


@dataclass(frozen=True, slots=True)
class FreshObjects:
    """The objects of one mirror that came a moment ago."""

    objects: Mapping[str, Stored]
    size: int

    def contents(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """Return id and content of each object, as ``git cat-file`` has them.

        Raises:
            NotFreshError: some name means something else, or nothing that is known here.
        """
        return [self._content(name) for name in names]

    def infos(self, names: Sequence[str]) -> list[Info]:
        """Tell what each name means.

        Raises:
            NotFreshError: some name means something else, or nothing that is known here.
        """
        found = [(name, self.objects.get(name)) for name in names]
        return [Info(LedTo.OBJECT, name, *self._known(one)) for name, one in found]

    @staticmethod
    def _known(one: Stored | None) -> tuple[str, int]:
        if one is None:
            raise NotFreshError
        return one.kind, len(one.content)

    def _content(self, name: str) -> tuple[str, bytes]:
        asked = _NAME.fullmatch(name)
        if asked is None:
            raise NotFreshError
        object_id, kind = asked.groups()
        one = self.objects.get(object_id)
        if one is not None and kind == "tree" and one.kind == "commit":
            object_id = one.content[5:45].decode()
            one = self.objects.get(object_id)
        if one is None or kind not in {None, one.kind}:
            raise NotFreshError
        return object_id, one.content


class Fresh:
    """What is fresh of each mirror."""

    def __init__(self) -> None:
        self._mirrors: OrderedDict[Path, FreshObjects] = OrderedDict()
        self._size = 0

    def put(self, mirror: Path, objects: Mapping[str, Stored]) -> None:
        """Keep what has come for a mirror, in place of what came before."""
        self.drop(mirror)
        size = sum(len(one.content) + _OBJECT_BYTES for one in objects.values())
        self._mirrors[mirror] = FreshObjects(objects, size)
        self._size += size
        while self._size > MOST_BYTES:
            self.drop(next(iter(self._mirrors)))

    def of(self, mirror: Path) -> FreshObjects | None:
        """Return what is fresh of a mirror."""
        return self._mirrors.get(mirror)

    def drop(self, mirror: Path) -> None:
        """Forget what is fresh of a mirror."""
        gone = self._mirrors.pop(mirror, None)
        if gone is not None:
            self._size -= gone.size
