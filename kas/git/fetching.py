"""Brings a project's refs from its server into its repository, with as few requests and as little data as can be.

Our own client does it where all goes without a word (``asking.py``), git itself everywhere else: whatever the first
cannot do, the second does or explains. It also follows a project that has moved, and fetches anew what a damaged
repository has lost. The repository itself is in ``repository.py``, how a ref is called here and there in ``refs.py``,
when to look in ``watcher.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from kas.git.asking import Asker
from kas.git.errors import GitError
from kas.git.explain import explain
from kas.git.packs import Packs
from kas.git.parcels import ref_name, source_of
from kas.git.refs import GitRef, RefKind, check_ref, mirror_name, server_name
from kas.git.smart_http import in_same_group

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kas.git.parcels import Parcel, Sealed
    from kas.git.process import Finished
    from kas.git.remotes import Remote, Remotes
    from kas.git.repository import Repository
    from kas.git.runner import GitRunner

_log = logging.getLogger(__name__)

_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")


class Fetcher:
    """Fetches into the repository of one project. All methods raise ``GitError`` and take turns."""

    def __init__(self, project: str, repository: Repository, remotes: Remotes, runner: GitRunner) -> None:
        self._project = project
        self._repository = repository
        self._remotes = remotes
        self._runner = runner
        self._packs = Packs(project, repository.path, runner)
        self._asker = Asker(runner.http, project, self._packs, runner.max_pack_bytes)
        self._lock = asyncio.Lock()
        # When the server said in the last look where refs are, if it was asked apart from what is there.
        self.answered: datetime | None = None
        self._moved = ""
        # What has been fetched, by its name in the mirror: kept to fetch it anew when the mirror is lost.
        self._fetched: dict[str, str] = {}
        # Where the server had a ref, by the word of who has handed on what came; only where that was new here.
        self._vouched: dict[str, str] = {}

    async def fetch(self, ref: GitRef) -> str:
        """Bring ``ref`` up to date, moving only what is new, and return its commit id.

        A commit that was fetched before costs nothing. The history of what is followed begins with what it was when
        first fetched.
        """
        found = (await self.look([ref]))[ref]
        if isinstance(found, GitError):
            raise found
        return found

    async def look(self, refs: Sequence[GitRef], parcels: list[Parcel] | None = None) -> dict[GitRef, str | GitError]:
        """Bring refs up to date and return the commit id of each, or why there is none.

        One request where nothing is new, and one more where something is, or two if some refs were never seen before,
        for all of them. What came is added to ``parcels`` if it is small. Raises ``GitError`` that concerns all.
        """
        found: dict[GitRef, str | GitError] = {}
        for ref in refs:
            try:
                check_ref(self._project, ref)
            except GitError as error:
                found[ref] = error
        async with self._lock:
            self.answered = None
            await self._repository.mark_used()
            remote = await self._remote()
            for way in (partial(self._asked, parcels=parcels), self._fetch_together, self._fetch_alone):
                if rest := [ref for ref in refs if ref not in found]:
                    found |= await way(remote, rest)
        return found

    async def bring(self, ref: GitRef, commit: str, handed_on: Sequence[Sealed] | None) -> str:
        """Bring a ref to where another kas has found it, and return the commit that it has now.

        That is the one told where who has handed on its pack vouches for it. Otherwise, and with None for
        ``handed_on``, the server is asked, and where it has the ref counts: what is merely here, or to be had there by
        its id, is no part of the ref.
        """
        check_ref(self._project, ref)
        check_ref(self._project, GitRef(RefKind.COMMIT, commit))
        async with self._lock:
            await self._repository.mark_used()
            if handed_on is not None:
                if await self._held(ref) == commit:
                    return commit
                if handed_on and not await self._repository.has(commit):
                    await self._unpack(source_of(await self._remote()), ref, handed_on)
                if self._vouched.get(ref_name(ref)) == commit and await self._repository.has(commit):
                    await self._repository.open()
                    if ref in await self._set({ref: commit}):
                        return commit
        return await self.fetch(ref)

    async def _held(self, ref: GitRef) -> str | None:
        """Return the commit of a ref as it was last fetched."""
        try:
            return await self._repository.commit(self._name(ref))
        except GitError:
            # A damaged mirror remembers nothing.
            return None

    async def last(self, ref: GitRef) -> str | None:
        """Return the commit that ``ref`` had when it was last fetched, also by an earlier process. No network."""
        check_ref(self._project, ref)
        async with self._lock:
            return await self._held(ref)

    async def pin(self, commit: str) -> None:
        """Give a commit that is here a ref of its own, so that it is not dropped."""
        async with self._lock:
            name = self._name(GitRef(RefKind.COMMIT, commit))
            await self._repository.set({name: commit})
            self._fetched[name] = commit

    async def deepen(self, ref: GitRef, depth: int) -> None:
        """Fetch the history of ``ref``, this many commits of it."""
        async with self._lock:
            remote = await self._remote()
            finished = await self._run(remote, [f"+{server_name(ref)}:{self._name(ref)}"], f"--depth={depth}")
            if finished.code != 0:
                raise explain(self._project, ref, finished.code, finished.stderr, remote.credential)

    async def published(self) -> str:
        """Return where the server's branches and tags are, one a line, as ``git ls-remote`` writes it."""
        async with self._lock:
            await self._repository.open()
            remote = await self._remote()
            finished = await self._repository.run_online(remote, ("ls-remote", "--heads", "--tags", "--", remote.url))
            if finished.overflow:
                raise GitError("TooLarge", f"{self._project}: the server has too many branches and tags")
            if finished.code != 0:
                raise explain(self._project, None, finished.code, finished.stderr, remote.credential)
        return finished.stdout.decode(errors="surrogateescape")

    async def recover(self) -> None:
        """Replace a damaged repository."""
        async with self._lock:
            await self._start_anew()

    async def _unpack(self, source: bytes, ref: GitRef, handed_on: Sequence[Sealed]) -> None:
        """Take in what another kas has handed on, as far as it is for us and fits."""
        for sealed in handed_on:
            parcel = sealed(source)
            # What begins a history here must not end one that is longer.
            if parcel is None or (parcel.shallow and await self._repository.value(self._name(ref)) is not None):
                continue
            new = [(name, tip) for name, tip in parcel.tips if not await self._repository.has(tip)]
            try:
                await self._repository.open()
                await self._packs.take_in(parcel.pieces(), parcel.shallow, await self._packs.shallow())
                self._vouched.update(new)
            except (GitError, TimeoutError, OSError) as error:
                # It needs what is not here, is damaged, or the disk is full: the server is asked, and tells which.
                _log.debug("What was handed on does not fit", extra={"project": self._project, "why": str(error)})
                await self._repository.sweep()

    async def _asked(
        self, remote: Remote, refs: Sequence[GitRef], *, parcels: list[Parcel] | None
    ) -> dict[GitRef, str | GitError]:
        """Ask where refs are, and for what is new; return those that this was enough for."""
        found: dict[GitRef, str | GitError] = {}
        try:
            places = await self._places(remote, refs, found)
        except TimeoutError:
            return dict.fromkeys(refs, self._repository.timeout())
        self.answered = datetime.now(UTC)
        return found | await self._taken(remote, places, parcels)

    async def _taken(
        self, remote: Remote, places: Mapping[GitRef, str], parcels: list[Parcel] | None = None
    ) -> dict[GitRef, str | GitError]:
        """Ask for what is new of refs that are at these ``places``; return those that this was enough for."""
        found: dict[GitRef, str | GitError] = {}
        try:
            first: dict[GitRef, str] = {}
            later: dict[GitRef, str] = {}
            held = []
            for ref, place in places.items():
                known = await self._repository.value(self._name(ref))
                commit = None if known is None else await self._repository.commit_of(known)
                if commit is not None:
                    held.append(commit)
                if commit is not None and known == place:
                    found[ref] = commit
                else:
                    (first if commit is None else later)[ref] = place
            for some in (first, later):
                came: list[Parcel] | None = None if parcels is None else []
                ask = partial(self._has_come, without_history=some is first, parcels=came)
                if some and await ask(remote, set(some.values()), held):
                    found |= await self._set(some)
                    tips = tuple((ref_name(ref), tip) for ref in some if isinstance(tip := found.get(ref), str))
                    if parcels is not None:
                        parcels += [replace(parcel, tips=tips) for parcel in came or ()]
        except TimeoutError:
            found |= dict.fromkeys(places.keys() - found.keys(), self._repository.timeout())
        except GitError as error:
            if error.reason == "TooLarge":
                found |= dict.fromkeys(places.keys() - found.keys(), error)
            # Otherwise the repository is damaged, or the disk full: fetching repairs or explains it.
        return found

    async def _places(
        self, remote: Remote, refs: Sequence[GitRef], missing: dict[GitRef, str | GitError]
    ) -> dict[GitRef, str]:
        """Ask where refs are; nothing is returned where git has to ask. What is not there is put into ``missing``."""
        places = await self._asker.refs(remote, {server_name(ref) for ref in refs if ref.kind is not RefKind.COMMIT})
        if places is None:
            return {}
        found: dict[GitRef, str] = {}
        for ref in refs:
            name = server_name(ref)
            if ref.kind is RefKind.COMMIT:
                found[ref] = name
            elif name in places:
                found[ref] = places[name]
            else:
                missing[ref] = explain(self._project, ref, 128, f"couldn't find remote ref {name}", None)
        return found

    async def _has_come(
        self,
        remote: Remote,
        wanted: Collection[str],
        held: Collection[str],
        *,
        without_history: bool,
        parcels: list[Parcel] | None,
    ) -> bool:
        """Ask for objects and take them in; tell whether that went well."""
        await self._repository.open()
        came = False
        try:
            ask = partial(self._asker.objects, without_history=without_history, parcels=parcels)
            came = await ask(remote, wanted, held)
        finally:
            if not came:
                await self._repository.sweep()
        return came

    async def _set(self, places: Mapping[GitRef, str]) -> dict[GitRef, str | GitError]:
        """Let refs be where they are on the server, unless that is no commit."""
        names = {self._name(ref): ref for ref in places}
        commits = await self._repository.set({name: places[ref] for name, ref in names.items()})
        self._fetched |= commits
        return {names[name]: commit for name, commit in commits.items()}

    async def _fetch_together(self, remote: Remote, refs: Sequence[GitRef]) -> dict[GitRef, str | GitError]:
        """Fetch refs by as few processes as can be; return those that this went well for."""
        if len(refs) == 1:
            return {}
        await self._repository.open()
        names = {ref: self._name(ref) for ref in refs if ref.kind is not RefKind.COMMIT}
        known = {ref: await self._repository.value(name) is not None for ref, name in names.items()}
        found: dict[GitRef, str | GitError] = {}
        for depth, some in ((("--depth=1",), [r for r in known if not known[r]]), ((), [r for r in known if known[r]])):
            if not some:
                continue
            finished = await self._run(remote, [f"+{server_name(ref)}:{names[ref]}" for ref in some], *depth)
            if finished.code != 0:
                await self._repository.sweep()
                continue  # one of them; each by itself tells which
            for ref in some:
                with contextlib.suppress(GitError):
                    commit = await self._repository.commit(names[ref])
                    if commit is not None:
                        found[ref] = self._fetched[names[ref]] = commit
        return found

    async def _fetch_alone(self, remote: Remote, refs: Sequence[GitRef]) -> dict[GitRef, str | GitError]:
        """Fetch refs one by one; return what became of each."""
        found: dict[GitRef, str | GitError] = {}
        for ref in refs:
            try:
                found[ref] = await self._fetch_or_repair(remote, ref)
            except GitError as error:
                found[ref] = error
        return found

    async def _fetch_or_repair(self, remote: Remote, ref: GitRef) -> str:
        for attempt in (1, 2):
            try:
                return await self._fetch(remote, ref, self._name(ref))
            except GitError as error:
                await self._repository.sweep()
                if error.reason == "RepositoryNotFound":
                    self._moved = ""
                if attempt == 2:  # noqa: PLR2004 - the last attempt
                    raise
                if error.reason == "Redirected" and (moved := await self._runner.http.moved(remote)):
                    remote = self._follow_move(remote, moved)
                elif error.reason == "MirrorCorrupt":
                    await self._start_anew()
                else:
                    await self._check_for_page(remote, error)
                    raise
        raise AssertionError("the second attempt returns or raises")

    async def _check_for_page(self, remote: Remote, error: GitError) -> None:
        """Raise what is really wrong where git took a page for a repository, to git an old and perhaps empty one."""
        if error.reason not in {"RefNotFound", "Unreachable"}:
            return
        if kind := await self._runner.http.page(remote):
            message = (
                f"{self._project}: at the repository's URL the server answers with a page ({kind}) and not with Git: "
                "a login or maintenance page, or a proxy's; open the URL to see which, and correct git.url_template or "
                "what stands in between"
            )
            raise GitError("Unreachable", message, retryable=True) from error

    async def _fetch(self, remote: Remote, ref: GitRef, name: str) -> str:
        await self._repository.open()
        known = await self._repository.commit(name)
        if known is not None and ref.kind is RefKind.COMMIT and await self._repository.holds(known):
            return known
        # Without history at first: it can be a hundred times the size of what is applied. Later fetches without
        # --depth, which would cost one more request each.
        depth = () if known is not None else ("--depth=1",)
        finished = await self._run(remote, [f"+{server_name(ref)}:{name}"], *depth)
        if finished.code != 0 and ref.kind is RefKind.COMMIT and "unadvertised object" in finished.stderr:
            return await self._fetch_unadvertised(remote, ref, name)
        if finished.code != 0:
            cause = "file too large" if await self._repository.overflowed() else finished.stderr
            raise explain(self._project, ref, finished.code, cause, remote.credential)
        commit = await self._repository.commit(name)
        if commit is None:
            message = f"{self._project}: {ref} does not lead to a commit; correct the ref in the agent's configuration"
            raise GitError("RefNotFound", message)
        self._fetched[name] = commit
        return commit

    async def _fetch_unadvertised(self, remote: Remote, ref: GitRef, name: str) -> str:
        """Find a commit on a server that gives out branches only: fetch them all, with their history."""
        refspec = f"+refs/heads/*:refs/kas-branches/{name.removeprefix('refs/kas/')}/*"
        finished = await self._run(remote, [refspec], "--prune")
        if finished.code != 0:
            raise explain(self._project, ref, finished.code, finished.stderr, remote.credential)
        if not await self._repository.holds(ref.name):
            raise explain(self._project, ref, 128, "not our ref", None)
        await self._repository.output(("update-ref", name), (ref.name,))
        self._fetched[name] = ref.name
        return ref.name

    async def _start_anew(self) -> None:
        """Replace a damaged mirror by an empty one and fetch what readers may still ask for, as far as it exists."""
        await self._repository.discard()
        await self._repository.open()
        remote = await self._remote()
        refspecs = [f"+{commit}:{name}" for name, commit in self._fetched.items()]
        for refspec in refspecs:
            # One by one, since a commit that the server has dropped fails the whole fetch. What is really wrong with
            # the server, the caller's own attempt will say.
            await self._run(remote, [refspec], "--depth=1")

    def _follow_move(self, remote: Remote, moved: str) -> Remote:
        """Take a redirect on the same server, as of a project that was renamed, and say so."""
        if not in_same_group(self._remotes.url(self._project), self._project, moved):
            message = "has moved out of its top-level group, where it is not followed; name it where it is now"
            raise GitError("Redirected", f"{self._project} {message}")
        self._moved = moved
        _log.warning(
            "The repository has moved; it is fetched from where its server says. Correct its path in the configuration",
            extra={"project": self._project, "url": remote.url, "moved_to": moved},
        )
        return replace(remote, url=moved)

    async def _remote(self) -> Remote:
        remote = await self._runner.asking(partial(self._remotes.resolved, self._project))
        return replace(remote, url=self._moved) if self._moved else remote

    def _name(self, ref: GitRef) -> str:
        return mirror_name(self._remotes.url(self._project), ref)

    async def _run(self, remote: Remote, refspecs: Sequence[str], *options: str) -> Finished:
        return await self._repository.run_online(remote, (*_FETCH, *options, "--", remote.url, *refspecs))
