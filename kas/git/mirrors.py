"""The mirrors of all projects: one each, tidied from time to time, removed when nobody uses them any more.

What one mirror can do lives in ``mirror.py``.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from kas.git import disk
from kas.git.errors import GitError
from kas.git.mirror import Mirror
from kas.git.remotes import GitSettings, Remotes
from kas.git.runner import GitRunner

if TYPE_CHECKING:
    from pathlib import Path


class Mirrors:
    """All mirrors, under ``<data_dir>/mirrors``. One kas at a time uses a data directory."""

    def __init__(self, settings: GitSettings, data_dir: Path) -> None:
        # git is run in another directory than kas.
        data_dir = data_dir.absolute()
        self._root = data_dir / "mirrors"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remotes = Remotes(settings)
        self._runner = GitRunner(settings, data_dir / "git-private")
        self._mirrors: dict[str, Mirror] = {}

    def mirror(self, project: str) -> Mirror:
        """Return the mirror of ``project``, always the same one. Nothing is created before it is fetched."""
        mirror = self._mirrors.get(project)
        if mirror is None:
            mirror = self._mirrors[project] = Mirror(project, self._root, self._remotes, self._runner)
        return mirror

    async def maintain(self) -> None:
        """Tidy the mirrors that need it, one after another."""
        for mirror in list(self._mirrors.values()):
            with contextlib.suppress(GitError):
                # A mirror that cannot be tidied still serves; if it is damaged, reading it will say so.
                await mirror.maintain()

    async def remove_unused(self, seconds: float) -> int:
        """Delete the mirrors of projects that nobody has fetched for so long; return how many.

        Used again after all, a mirror is fetched anew.
        """
        removed = 0
        for path in await self._runner.threaded(partial(disk.unused_since, self._root, seconds)):
            with contextlib.suppress(OSError):  # the next time, then
                await self._runner.forget(path)
                await self._runner.threaded(partial(disk.remove, path, path.with_suffix(".broken")))
                removed += 1
        return removed

    async def close(self) -> None:
        """End the processes and threads of all mirrors."""
        await self._runner.close()
