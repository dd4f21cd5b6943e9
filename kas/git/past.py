"""What a project's repository knows of its past: which commits may be gone back to, and what they say of themselves.

Mirrors are shallow, so history is fetched only here, where it is needed. What a commit object says is read in
``history.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.git.explain import explain
from kas.git.history import parse_commit
from kas.git.refs import GitRef, RefKind, check_ref, is_commit_id, tip_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kas.git.fetching import Fetcher
    from kas.git.history import CommitInfo
    from kas.git.repository import Repository

HISTORY = 1000
"""Commits of a ref that are looked through for one to go back to."""


class Past:
    """The past of one project. All methods raise ``GitError``."""

    def __init__(self, project: str, repository: Repository, fetcher: Fetcher) -> None:
        self._project = project
        self._repository = repository
        self._fetcher = fetcher

    async def keep(self, commit: str) -> None:
        """Make sure that the mirror holds ``commit`` and does not drop it, from the server only where it is not here.

        Somebody may have taken it out of every branch since it was fetched.
        """
        ref = GitRef(RefKind.COMMIT, commit)
        check_ref(self._project, ref)
        if await self._repository.has(commit):
            await self._fetcher.pin(commit)
        else:
            await self._fetcher.fetch(ref)

    async def commits(self, ids: Sequence[str]) -> dict[str, CommitInfo]:
        """Return what those of these commits say of themselves that the mirror holds."""
        wanted = [commit for commit in dict.fromkeys(ids) if is_commit_id(commit)]
        if not self._repository.path.is_dir():
            return {}
        answers = await self._repository.objects([f"{commit}^{{commit}}" for commit in wanted])
        found = zip(wanted, answers, strict=True)
        return {commit: parse_commit(answer[1]) for commit, answer in found if answer is not None}

    async def leads_to(self, ref: GitRef, commit: str) -> bool:
        """Tell whether ``commit`` is in the history of ``ref``, as far back as ``HISTORY`` commits.

        The mirror has a ref's history since it first met it. What is before is fetched only here, where it is needed.
        """
        if not is_commit_id(commit):
            return False
        tip = await self._fetcher.last(ref) or await self._fetcher.fetch(ref)
        if await self._is_ancestor(commit, tip):
            return True
        await self._fetcher.deepen(ref, HISTORY)
        return await self._is_ancestor(commit, tip)

    async def at_tip(self, commit: str) -> GitRef | None:
        """Return a branch or tag of the server that is at ``commit`` now; a forge's other refs are nobody's here."""
        return tip_of(await self._fetcher.published(), commit)

    async def is_before(self, commit: str, tip: str) -> bool:
        """Tell whether a commit, perhaps abbreviated, is in the history of another, as far as the mirror has it."""
        if tip.startswith(commit) or not self._repository.path.is_dir():
            return False
        # Whatever git cannot tell, as of a commit that is not here, is no yes.
        return (await self._repository.run(("merge-base", "--is-ancestor"), (commit, tip))).code == 0

    async def _is_ancestor(self, commit: str, of: str) -> bool:
        if not await self._repository.has(commit):
            return False
        finished = await self._repository.run(("merge-base", "--is-ancestor"), (commit, of))
        if finished.code > 1:
            raise explain(self._project, None, finished.code, finished.stderr, None)
        return finished.code == 0
