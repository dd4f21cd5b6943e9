"""Takes packs into a project's repository: whole, looked through by git, and only with all that they refer to.

Where packs come from is ``asking.py``'s business; git's own fetches take in theirs themselves.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from kas.git import disk
from kas.git.explain import explain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from kas.git.runner import GitRunner

# Objects that come are read and named by their content, and git looks whether those that they need came with them or
# are here, as it does for what it fetches itself.
_INDEX_PACK: Final[tuple[str, ...]] = ("index-pack", "--stdin", "--fix-thin", "--check-self-contained-and-connected")
_GOOD: Final = frozenset({0, 1})
"""How git ends if all is well; with 1 if something that is needed was here before."""

_HEAD_BYTES: Final = 12
"""Of a pack: a word, a version, and how many objects follow."""


class Packs:
    """The packs of the repository of ``project``, which is at ``path``. Who changes it takes turns."""

    def __init__(self, project: str, path: Path, runner: GitRunner) -> None:
        self._project = project
        self._path = path
        self._runner = runner

    async def shallow(self) -> list[str]:
        """Return the commits whose parents were left out."""
        return await self._runner.threaded(partial(disk.read_shallow, self._path))

    async def take_in(self, pack: AsyncGenerator[bytes, None], shallow: Sequence[str], known: Sequence[str]) -> None:
        """Take in a pack.

        Args:
            pack: its bytes, in pieces.
            shallow: commits whose parents stay away; it may become longer until the first piece has come.
            known: what ``shallow()`` has returned.

        Raises:
            GitError: it cannot be used or stored, and nothing of it is.
            TimeoutError: it took too long.
            OSError: the disk does not let us.
            Exception: what ``pack`` raises.
        """
        head = bytearray()
        async for piece in pack:
            head += piece
            if len(head) >= _HEAD_BYTES:
                break
        if head[8:_HEAD_BYTES] == bytes(4):  # no objects: they are all here
            async for _ in pack:
                pass
            return
        async with contextlib.aclosing(_joined(bytes(head), pack)) as pieces:
            await self._index(pieces, shallow, known)

    async def _index(self, pieces: AsyncGenerator[bytes, None], shallow: Sequence[str], known: Sequence[str]) -> None:
        new = [commit for commit in shallow if commit not in known]
        with contextlib.ExitStack() as stack:
            arguments = _INDEX_PACK
            if new:
                lock = await self._runner.threaded(partial(disk.lock_shallow, self._path, (*known, *new)))
                stack.callback(lock.unlink, missing_ok=True)
                arguments = ("--shallow-file", str(lock), *arguments)
            finished = await self._runner.fed(self._path, arguments, pieces)
            if finished.code not in _GOOD:
                raise explain(self._project, None, finished.code, finished.stderr, None)
            if new:
                await self._runner.threaded(partial(lock.replace, self._path / "shallow"))


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield head
    async for piece in rest:
        yield piece
