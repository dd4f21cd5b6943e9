"""One project's mirror, as the rest of kas sees it: fetched incrementally, read without a checkout.

A mirror is a cache. Whatever is wrong with it, it is moved away and fetched anew, and callers see at most one slower
call. Reading files lives here; the repository on disk in ``repository.py``, fetching in ``fetching.py``, going back to
earlier commits in ``past.py``, and all mirrors together in ``mirrors.py``.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from kas.git.errors import GitError
from kas.git.explain import explain
from kas.git.fetching import Fetcher
from kas.git.past import Past
from kas.git.reader import LedTo
from kas.git.refs import GitRef, RefKind, commit_argument, is_commit_id
from kas.git.repository import Repository
from kas.git.trees import NotPlainError, compare_trees, list_tree, parse_changes, parse_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from kas.desired.model import TreeEntry
    from kas.desired.tree import TreeChange
    from kas.git.history import CommitInfo
    from kas.git.parcels import Parcel, Sealed
    from kas.git.reader import Info
    from kas.git.remotes import Remotes
    from kas.git.runner import GitRunner


class Mirror:
    """One project's repository. All methods raise ``GitError``; ``fetch`` calls of one mirror take turns."""

    def __init__(self, project: str, root: Path, remotes: Remotes, runner: GitRunner) -> None:
        self._project = project
        self._runner = runner
        self._repository = Repository(project, root, runner)
        self._fetcher = Fetcher(project, self._repository, remotes, runner)
        self._past = Past(project, self._repository, self._fetcher)

    async def fetch(self, ref: GitRef) -> str:
        """Bring ``ref`` up to date and return its commit id, see ``Fetcher.fetch``."""
        return await self._fetcher.fetch(ref)

    async def look(self, refs: Sequence[GitRef], parcels: list[Parcel] | None = None) -> dict[GitRef, str | GitError]:
        """Bring refs up to date and return the commit id of each, or why there is none, see ``Fetcher.look``."""
        return await self._fetcher.look(refs, parcels)

    @property
    def answered(self) -> datetime | None:
        """When the server said in the last look where refs are: what was fetched then may have taken longer to come."""
        return self._fetcher.answered

    async def bring(self, ref: GitRef, commit: str, handed_on: Sequence[Sealed] | None) -> str:
        """Bring a ref to where another kas has found it, see ``Fetcher.bring``; return the commit that it has now."""
        return await self._fetcher.bring(ref, commit, handed_on)

    async def last(self, ref: GitRef) -> str | None:
        """Return the commit that ``ref`` had when it was last fetched, also by an earlier process. No network."""
        return await self._fetcher.last(ref)

    async def has(self, commit: str) -> bool:
        """Tell whether the mirror holds ``commit``."""
        return await self._repository.has(commit)

    async def keep(self, commit: str) -> None:
        """Make sure that the mirror holds ``commit`` and does not drop it, see ``Past.keep``."""
        await self._past.keep(commit)

    async def commits(self, ids: Sequence[str]) -> dict[str, CommitInfo]:
        """Return what those of these commits say of themselves that the mirror holds."""
        return await self._past.commits(ids)

    async def is_before(self, commit: str, tip: str) -> bool:
        """Tell whether a commit is in the history of another, see ``Past.is_before``."""
        return await self._past.is_before(commit, tip)

    async def at_tip(self, commit: str) -> GitRef | None:
        """Return a branch or tag of the server that is at ``commit`` now, see ``Past.at_tip``."""
        return await self._past.at_tip(commit)

    async def leads_to(self, ref: GitRef, commit: str) -> bool:
        """Tell whether ``commit`` is in the history of ``ref``, see ``Past.leads_to``."""
        return await self._past.leads_to(ref, commit)

    async def maintain(self) -> None:
        """Put many packs into one and drop what nothing has referred to for two weeks, where that is due."""
        await self._repository.tidy()

    async def tree(self, commit: str) -> tuple[TreeEntry, ...]:
        """Return all files, symlinks and submodules of ``commit``, in Git's order."""
        if not is_commit_id(commit):
            raise GitError("CommitNotFound", f"{self._project}: {commit[:60]!r} is not a commit id")
        # Short of what is large or damaged, one open process does.
        with contextlib.suppress(NotPlainError, GitError):
            entries = await self._repository.walked(partial(list_tree, commit))
            if entries is not None:
                return entries
        listing = await self._repaired(commit, ("ls-tree", "-r", "-z"))
        return await self._runner.threaded(partial(parse_tree, listing))

    async def _repaired(self, commit: str, arguments: Sequence[str]) -> bytes:
        """Return what git says of a commit; where that is damaged or missing, it is fetched anew."""
        try:
            return await self._repository.output(arguments, (commit,))
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            if await self.has(commit):
                await self._fetcher.recover()
            # A commit that was never fetched, or did not come back.
            await self.fetch(GitRef(RefKind.COMMIT, commit))
            return await self._repository.output(arguments, (commit,))

    async def changes(self, old: str, new: str) -> tuple[TreeChange, ...] | None:
        """Return what differs between two commits, None where the mirror does not hold both."""
        try:
            with contextlib.suppress(NotPlainError):
                return await self._repository.walked(partial(compare_trees, old, new))
            if not (await self.has(old) and await self.has(new)):
                return None
            answer = await self._repository.output(("diff-tree", "-r", "-z", "--raw", "--no-renames"), (old, new))
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            return None  # reading the whole tree repairs it
        return await self._runner.threaded(partial(parse_changes, answer))

    async def blob_at(self, commit: str, path: str) -> Info | None:
        """Return the file at one path of a commit, None where there is none; without a listing of the others."""
        if not is_commit_id(commit):
            raise GitError("CommitNotFound", f"{self._project}: {commit[:60]!r} is not a commit id")
        (info,) = await self.follow(commit, [path])
        if info.led_to is LedTo.NOTHING:
            # Or the commit is not here: asking for that repairs it.
            await self._repaired(commit, ("ls-tree", "-z"))
            (info,) = await self.follow(commit, [path])
        return info if info.kind == "blob" else None

    async def follow(self, commit: str, paths: Sequence[str]) -> list[Info]:
        """Tell what paths of a commit lead to through symbolic links inside it; none may hold a line break."""
        named = commit_argument(self._project, commit)
        return await self._repository.infos([f"{named}:{path}" for path in paths])

    async def sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the size of each blob in bytes."""
        wanted = list(dict.fromkeys(ids))
        infos = await self._repository.infos(wanted)
        if any(info.led_to is not LedTo.OBJECT for info in infos):
            await self._fetcher.recover()
            infos = await self._repository.infos(wanted)
        sizes = {blob: info.size for blob, info in zip(wanted, infos, strict=True) if info.led_to is LedTo.OBJECT}
        if len(sizes) < len(wanted):
            raise explain(self._project, None, 128, "missing blob", None)
        return sizes

    async def blobs(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content of each blob. The caller has seen their sizes in ``tree`` and bounds their sum."""
        wanted = list(dict.fromkeys(ids))
        if not all(is_commit_id(blob_id) for blob_id in wanted):
            raise GitError("Internal", f"{self._project}: a blob was asked for by something that is not an id")
        try:
            return await self._blobs(wanted)
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            await self._fetcher.recover()
            return await self._blobs(wanted)

    async def _blobs(self, ids: list[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        answers = await self._repository.objects(ids)
        found = {blob_id: answer[1] for blob_id, answer in zip(ids, answers, strict=True) if answer is not None}
        if len(found) < len(ids):
            raise explain(self._project, None, 128, "missing blob", None)
        return found
