"""A project's bare repository on disk and the git that runs in it: created, cleaned up after, tidied, thrown away.

Whatever git answers comes out as a value or as a ``GitError``. When to fetch what lives in ``fetching.py``, how git is
run in ``runner.py``, what it says in ``explain.py``, what is done behind its back in ``disk.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kas.git import disk
from kas.git.errors import GitError
from kas.git.explain import explain
from kas.git.reader import ObjectTooLargeError, ReaderBrokenError
from kas.git.refs import commit_argument, is_commit_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from kas.git.process import Finished
    from kas.git.reader import Info
    from kas.git.remotes import Remote
    from kas.git.runner import GitRunner
    from kas.git.trees import Read

T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# A new pack with each fetch; beyond this many, finding an object in them becomes slow.
_PACKS = 50
# Repacking a large repository takes minutes, and nobody waits for it. Seconds.
_MAINTENANCE_TIMEOUT = 1800.0
MARK_SECONDS = 3600.0
"""How exactly it is known when a mirror was last used; far below what anybody keeps unused ones for."""


class Repository:
    """The repository of one project below ``root``. All methods raise ``GitError``; who changes it takes turns."""

    def __init__(self, project: str, root: Path, runner: GitRunner) -> None:
        self._project = project
        self._runner = runner
        readable = _UNSAFE.sub("-", project).strip("-.")[:60]
        digest = hashlib.sha256(project.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = root / f"{readable}-{digest}.git"
        self._opened = False
        self._mark_at = 0.0
        self._tidying = False
        # What a ref's value in the mirror was found to mean: a tag's object is not its commit.
        self._commits: dict[str, str] = {}

    async def open(self) -> None:
        """Create the repository where there is none."""
        if self._opened and self.path.is_dir():
            return
        if not (self.path / "HEAD").is_file():
            await self.discard()
            try:
                await self._runner.threaded(partial(disk.create, self.path))
            except OSError as error:
                raise self._storage(error) from error
        else:
            await self.sweep()
        self._opened = True

    async def discard(self) -> None:
        """Move what there is away and delete it; a name of its own, so that a half-deleted one is never used."""
        await self._runner.forget(self.path)
        self._commits.clear()
        self._opened = False
        away = self.path.with_suffix(".broken")
        try:
            await self._runner.threaded(partial(disk.remove, self.path, away))
        except OSError as error:
            raise self._storage(error) from error

    async def sweep(self) -> None:
        """Remove what killed git processes left behind: they would lock out or crowd out the next."""
        if not self._tidying:
            await self._runner.threaded(partial(disk.sweep, self.path))

    async def tidy(self) -> None:
        """Put many packs into one and drop what nothing has referred to for two weeks, where that is due."""
        packs = await self._runner.threaded(lambda: len(list((self.path / "objects" / "pack").glob("*.pack"))))
        if packs <= _PACKS:
            return
        self._tidying = True
        try:
            # Without taking turns: git itself keeps fetching and repacking apart.
            finished = await self.run(("gc", "--quiet"), seconds=_MAINTENANCE_TIMEOUT)
        finally:
            self._tidying = False
        if finished.code != 0:
            raise explain(self._project, None, finished.code, finished.stderr, None)

    async def mark_used(self) -> None:
        """Note that somebody uses it, from time to time."""
        if time.monotonic() >= self._mark_at:
            # Not being able to is no reason to fail: what comes next says better what is wrong with the disk.
            with contextlib.suppress(OSError):
                await self._runner.threaded(partial(disk.mark_used, self.path))
            self._mark_at = time.monotonic() + MARK_SECONDS

    async def value(self, name: str) -> str | None:
        """Return the object id that a ref of the mirror has, None if there is no such ref."""
        return await self._runner.threaded(partial(disk.read_ref, self.path / name))

    async def commit(self, name: str) -> str | None:
        """Return the commit of a ref of the mirror, None if there is no such ref or it leads to something else."""
        value = await self.value(name)
        return None if value is None else await self.commit_of(value)

    async def commit_of(self, value: str) -> str | None:
        """Return the commit that an object is or, as a tag, leads to; None if that is something else."""
        if value not in self._commits:
            found = (await self.objects([f"{value}^{{commit}}"]))[0]
            if found is None:
                if (await self.objects([value]))[0] is None:
                    raise explain(self._project, None, 128, "bad object", None)
                return None
            if len(self._commits) > 1000:  # noqa: PLR2004 - only to end; it is a cache
                self._commits.clear()
            self._commits[value] = found[0]
        return self._commits[value]

    async def set(self, values: Mapping[str, str]) -> dict[str, str]:
        """Let refs of the mirror have these objects; return their commits. Those that lead to none are left out."""

        def work(read: Read) -> dict[str, str]:
            answers = read([f"{value}^{{commit}}" for value in values.values()])
            commits = {name: answer[0] for name, answer in zip(values, answers, strict=True) if answer is not None}
            for name in commits:
                disk.write_ref(self.path / name, values[name])
            return commits

        try:
            return await self.walked(work)
        except OSError as error:
            raise self._storage(error) from error

    async def holds(self, commit: str) -> bool:
        """Tell whether ``commit`` is here; an error where that cannot be read, so that it is repaired."""
        return (await self.objects([f"{commit}^{{commit}}"]))[0] is not None

    async def has(self, commit: str) -> bool:
        """Tell whether ``commit`` is here; a damaged repository has none, and what is no commit id is never here."""
        try:
            return is_commit_id(commit) and await self.holds(commit)
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            return False

    async def objects(self, names: list[str]) -> list[tuple[str, bytes] | None]:
        """Return id and content of each object, None for one that is not here."""
        return await self._read(self._runner.objects(self.path, names))

    async def walked(self, walk: Callable[[Read], T]) -> T:
        """Read objects one after another, by what the ones before say."""
        return await self._read(self._runner.walked(self.path, walk))

    async def infos(self, names: list[str]) -> list[Info]:
        """Tell what each name means here."""
        return await self._read(self._runner.infos(self.path, names))

    async def _read(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except TimeoutError as error:
            raise self.timeout() from error
        except ObjectTooLargeError as error:
            message = f"{self._project}: {error}; take it out of the repository's history, or follow another ref"
            raise GitError("TooLarge", message) from error
        except ReaderBrokenError as error:
            raise explain(self._project, None, 128, f"the object store is corrupt: {error}", None) from error

    async def output(self, arguments: Sequence[str], commits: Sequence[str] = ()) -> bytes:
        """Run git as ``run`` does and return what it says; an error where it fails."""
        finished = await self.run(arguments, commits)
        if finished.overflow:
            raise GitError("TooLarge", f"{self._project}: the repository has too many files; use a smaller one")
        if finished.code != 0:
            raise explain(self._project, None, finished.code, finished.stderr, None)
        return finished.stdout

    async def run(
        self, arguments: Sequence[str], commits: Sequence[str] = (), *, seconds: float | None = None
    ) -> Finished:
        """Run git without any way to the network, whatever it ends with.

        ``arguments`` are our own words; ``commits`` may be anybody's, are checked, and stand behind them. ``seconds``
        is for what may take minutes.
        """
        named = [commit_argument(self._project, commit) for commit in commits]
        try:
            return await self._runner.local(self.path, (*arguments, *named), seconds=seconds)
        except TimeoutError as error:
            raise self.timeout() from error
        except OSError as error:
            raise self._storage(error) from error

    async def run_online(self, remote: Remote, arguments: Sequence[str]) -> Finished:
        """Run git with what it needs to reach ``remote``, whatever it ends with."""
        try:
            return await self._runner.network(self.path, remote, arguments)
        except TimeoutError as error:
            raise self.timeout() from error
        except OSError as error:
            raise self._storage(error) from error

    async def overflowed(self) -> bool:
        """Tell whether a pack was broken off because it became too large: git does not say why, its size does."""
        half = await self._runner.threaded(partial(disk.half_pack, self.path))
        return half >= self._runner.max_pack_bytes

    def timeout(self) -> GitError:
        """Return what it means that something took longer than it may."""
        message = f"{self._project}: git did not end in time; it is tried again by itself, git.timeout sets the limit"
        return GitError("Timeout", message, retryable=True)

    def _storage(self, error: OSError) -> GitError:
        message = f"{self._project}: the mirror cannot be used ({error.strerror}); look at kas's data directory"
        return GitError("StorageFailed", message, retryable=True)
