"""One bare repository on disk for each project: fetched incrementally, read without a checkout.

A mirror is a cache. Whatever is wrong with it, it is moved away and fetched anew, and callers see at most one slower
call. How git is run lives in ``runner.py``, what it says in ``explain.py``, when to look in ``watcher.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kas.git import disk
from kas.git.errors import GitError
from kas.git.explain import explain
from kas.git.history import parse_commit
from kas.git.reader import LedTo, ReaderBrokenError
from kas.git.refs import GitRef, RefKind, check_ref, is_commit_id, mirror_name, server_name
from kas.git.remotes import GitSettings, Remote, Remotes
from kas.git.runner import GitRunner
from kas.git.trees import parse_changes, parse_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kas.desired.model import TreeEntry
    from kas.desired.tree import TreeChange
    from kas.git.history import CommitInfo
    from kas.git.process import Finished
    from kas.git.reader import Info

_log = logging.getLogger(__name__)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
# A new pack with each fetch; beyond this many, finding an object in them becomes slow.
_PACKS = 50
# Repacking a large repository takes minutes, and nobody waits for it. Seconds.
_MAINTENANCE_TIMEOUT = 1800.0
HISTORY = 1000
"""Commits of a ref that are looked through for one to go back to."""
MARK_SECONDS = 3600.0
"""How exactly it is known when a mirror was last used; far below what anybody keeps unused ones for."""


class Mirror:
    """One project's repository. All methods raise ``GitError``; ``fetch`` calls of one mirror take turns."""

    def __init__(self, project: str, root: Path, remotes: Remotes, runner: GitRunner) -> None:
        self._project = project
        self._remotes = remotes
        self._runner = runner
        readable = _UNSAFE.sub("-", project).strip("-.")[:60]
        digest = hashlib.sha256(project.encode(errors="surrogateescape")).hexdigest()[:16]
        self._path = root / f"{readable}-{digest}.git"
        self._lock = asyncio.Lock()
        self._opened = False
        self._mark_at = 0.0
        self._tidying = False
        self._moved = ""
        # What has been fetched, by its name in the mirror: kept to fetch it anew when the mirror is lost.
        self._fetched: dict[str, str] = {}
        # What a ref's value in the mirror was found to mean: a tag's object is not its commit.
        self._commits: dict[str, str] = {}

    async def fetch(self, ref: GitRef) -> str:
        """Bring ``ref`` up to date, moving only what is new, and return its commit id.

        One git process. A commit that was fetched before costs none. The history of what is followed begins with
        what it was when first fetched.
        """
        check_ref(self._project, ref)
        async with self._lock:
            await self._mark_used()
            return await self._fetch_or_repair(await self._remote(), ref)

    async def look(self, refs: Sequence[GitRef], *, expecting: bool) -> dict[GitRef, str | GitError]:
        """Bring refs up to date and return the commit id of each, or why there is none.

        One request where nothing is new, and at most two git processes more where something is, for all of them. With
        ``expecting`` news of a single ref, it is fetched without asking first. Raises ``GitError`` that concerns all.
        """
        found: dict[GitRef, str | GitError] = {}
        for ref in refs:
            try:
                check_ref(self._project, ref)
            except GitError as error:
                found[ref] = error
        async with self._lock:
            await self._mark_used()
            remote = await self._remote()
            rest = [ref for ref in refs if ref not in found]
            if len(rest) > 1 or not expecting:
                found |= await self._settled(remote, rest)
                rest = [ref for ref in refs if ref not in found]
            if len(rest) > 1:
                found |= await self._fetch_together(remote, rest)
                rest = [ref for ref in refs if ref not in found]
            for ref in rest:
                try:
                    found[ref] = await self._fetch_or_repair(remote, ref)
                except GitError as error:
                    found[ref] = error
        return found

    async def _settled(self, remote: Remote, refs: Sequence[GitRef]) -> dict[GitRef, str | GitError]:
        """Ask where refs are; return those that are where they were, and those that are not there."""
        found: dict[GitRef, str | GitError] = {}
        named = {server_name(ref): ref for ref in refs if ref.kind is not RefKind.COMMIT}
        known = {ref: await self._value(ref) for ref in refs}
        if len(named) <= 1 and not any(known.values()):
            return found
        advertised = await self._runner.asker.refs(remote, named) if named else {}
        for ref, value in known.items():
            name = server_name(ref)
            if ref.kind is not RefKind.COMMIT and advertised is not None and name not in advertised:
                found[ref] = explain(self._project, ref, 128, f"couldn't find remote ref {name}", None)
            elif value is not None and (ref.kind is RefKind.COMMIT or (advertised or {}).get(name) == value):
                with contextlib.suppress(GitError):  # fetching repairs it
                    commit = await self._commit(self._name(ref))
                    if commit is not None:
                        found[ref] = commit
        return found

    async def _fetch_together(self, remote: Remote, refs: Sequence[GitRef]) -> dict[GitRef, str | GitError]:
        """Fetch refs by as few processes as can be; return those that this went well for."""
        await self._open()
        known = {ref: await self._value(ref) is not None for ref in refs if ref.kind is not RefKind.COMMIT}
        found: dict[GitRef, str | GitError] = {}
        for depth, some in ((("--depth=1",), [r for r in known if not known[r]]), ((), [r for r in known if known[r]])):
            if not some:
                continue
            refspecs = [f"+{server_name(ref)}:{self._name(ref)}" for ref in some]
            finished = await self._run_network(remote, (*_FETCH, *depth, "--", remote.url, *refspecs))
            if finished.code != 0:
                await self._sweep()
                continue  # one of them; each by itself tells which
            for ref in some:
                with contextlib.suppress(GitError):
                    commit = await self._commit(self._name(ref))
                    if commit is not None:
                        found[ref] = self._fetched[self._name(ref)] = commit
        return found

    async def _fetch_or_repair(self, remote: Remote, ref: GitRef) -> str:
        for attempt in (1, 2):
            try:
                return await self._fetch(remote, ref, self._name(ref))
            except GitError as error:
                await self._sweep()
                if error.reason == "RepositoryNotFound":
                    self._moved = ""
                if attempt == 2:  # noqa: PLR2004 - the last attempt
                    raise
                if error.reason == "Redirected" and (moved := await self._runner.asker.moved(remote)):
                    remote = self._follow_move(remote, moved)
                elif error.reason == "MirrorCorrupt":
                    await self._start_anew()
                else:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def _follow_move(self, remote: Remote, moved: str) -> Remote:
        """Take a redirect on the same server, as of a project that was renamed, and say so."""
        self._moved = moved
        _log.warning(
            "The repository has moved; it is fetched from where its server says. Correct its path in the configuration",
            extra={"project": self._project, "url": remote.url, "moved_to": moved},
        )
        return replace(remote, url=moved)

    def _name(self, ref: GitRef) -> str:
        return mirror_name(self._remotes.url(self._project), ref)

    async def _value(self, ref: GitRef) -> str | None:
        return await self._runner.threaded(partial(disk.read_ref, self._path / self._name(ref)))

    async def last(self, ref: GitRef) -> str | None:
        """Return the commit that ``ref`` had when it was last fetched, also by an earlier process. No network."""
        check_ref(self._project, ref)
        async with self._lock:
            try:
                return await self._commit(self._name(ref))
            except GitError:
                # A damaged mirror remembers nothing.
                return None

    async def has(self, commit: str) -> bool:
        """Tell whether the mirror holds ``commit``."""
        try:
            return is_commit_id(commit) and await self._has_locally(commit)
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            return False

    async def keep(self, commit: str) -> None:
        """Make sure that the mirror holds ``commit`` and does not drop it, from the server only where it is not here.

        Somebody may have taken it out of every branch since it was fetched.
        """
        ref = GitRef(RefKind.COMMIT, commit)
        check_ref(self._project, ref)
        if not await self.has(commit):
            await self.fetch(ref)
            return
        async with self._lock:
            name = self._name(ref)
            await self._local(("update-ref", name, commit))
            self._fetched[name] = commit

    async def commits(self, ids: Sequence[str]) -> dict[str, CommitInfo]:
        """Return what those of these commits say of themselves that the mirror holds."""
        wanted = [commit for commit in dict.fromkeys(ids) if is_commit_id(commit)]
        if not self._path.is_dir():
            return {}
        found = zip(wanted, await self._objects([f"{commit}^{{commit}}" for commit in wanted]), strict=True)
        return {commit: parse_commit(answer[1]) for commit, answer in found if answer is not None}

    async def leads_to(self, ref: GitRef, commit: str) -> bool:
        """Tell whether ``commit`` is in the history of ``ref``, as far back as ``HISTORY`` commits.

        The mirror has a ref's history since it first met it. What is before is fetched only here, where it is needed.
        """
        if not is_commit_id(commit):
            return False
        tip = await self.last(ref) or await self.fetch(ref)
        if await self._is_ancestor(commit, tip):
            return True
        async with self._lock:
            remote = await self._remote()
            refspec = f"+{server_name(ref)}:{self._name(ref)}"
            finished = await self._run_network(remote, (*_FETCH, f"--depth={HISTORY}", "--", remote.url, refspec))
            if finished.code != 0:
                raise explain(self._project, ref, finished.code, finished.stderr, remote.credential)
        return await self._is_ancestor(commit, tip)

    async def _is_ancestor(self, commit: str, of: str) -> bool:
        if not await self.has(commit):
            return False
        finished = await self._run_local(("merge-base", "--is-ancestor", commit, of))
        if finished.code > 1:
            raise explain(self._project, None, finished.code, finished.stderr, None)
        return finished.code == 0

    async def tree(self, commit: str) -> tuple[TreeEntry, ...]:
        """Return all files, symlinks and submodules of ``commit``, in Git's order."""
        if not is_commit_id(commit):
            raise GitError("CommitNotFound", f"{self._project}: {commit[:60]!r} is not a commit id")
        listing = await self._repaired(commit, ("ls-tree", "-r", "-z", commit))
        return await self._runner.threaded(partial(parse_tree, listing))

    async def _repaired(self, commit: str, arguments: Sequence[str]) -> bytes:
        """Return what git says of a commit; where that is damaged or missing, it is fetched anew."""
        try:
            return await self._local(arguments)
        except GitError as error:
            if error.reason != "MirrorCorrupt":
                raise
            if await self.has(commit):
                await self._recover()
            # A commit that was never fetched, or did not come back.
            await self.fetch(GitRef(RefKind.COMMIT, commit))
            return await self._local(arguments)

    async def changes(self, old: str, new: str) -> tuple[TreeChange, ...] | None:
        """Return what differs between two commits, None where the mirror does not hold both."""
        if not (await self.has(old) and await self.has(new)):
            return None
        try:
            answer = await self._local(("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new))
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
            await self._repaired(commit, ("ls-tree", "-z", commit))
            (info,) = await self.follow(commit, [path])
        return info if info.kind == "blob" else None

    async def follow(self, commit: str, paths: Sequence[str]) -> list[Info]:
        """Tell what paths of a commit lead to through symbolic links inside it; none may hold a line break."""
        return await self._infos([f"{commit}:{path}" for path in paths])

    async def sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the size of each blob in bytes."""
        wanted = list(dict.fromkeys(ids))
        infos = await self._infos(wanted)
        if any(info.led_to is not LedTo.OBJECT for info in infos):
            await self._recover()
            infos = await self._infos(wanted)
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
            await self._recover()
            return await self._blobs(wanted)

    async def maintain(self) -> None:
        """Put many packs into one and drop what nothing has referred to for two weeks, where that is due."""
        packs = await self._runner.threaded(lambda: len(list((self._path / "objects" / "pack").glob("*.pack"))))
        if packs <= _PACKS:
            return
        self._tidying = True
        try:
            # Without the lock: git itself keeps fetching and repacking apart.
            finished = await self._run_local(("gc", "--quiet"), seconds=_MAINTENANCE_TIMEOUT)
        finally:
            self._tidying = False
        if finished.code != 0:
            raise explain(self._project, None, finished.code, finished.stderr, None)

    async def _mark_used(self) -> None:
        if time.monotonic() >= self._mark_at:
            # Not being able to is no reason to fail: what comes next says better what is wrong with the disk.
            with contextlib.suppress(OSError):
                await self._runner.threaded(partial(disk.mark_used, self._path))
            self._mark_at = time.monotonic() + MARK_SECONDS

    async def _fetch(self, remote: Remote, ref: GitRef, name: str) -> str:
        await self._open()
        known = await self._commit(name)
        if known is not None and ref.kind is RefKind.COMMIT and await self._has_locally(known):
            return known
        # Without history at first: it can be a hundred times the size of what is applied. Later fetches without
        # --depth, which would cost one more request each.
        depth = () if known is not None else ("--depth=1",)
        refspec = f"+{server_name(ref)}:{name}"
        finished = await self._run_network(remote, (*_FETCH, *depth, "--", remote.url, refspec))
        if finished.code != 0 and ref.kind is RefKind.COMMIT and "unadvertised object" in finished.stderr:
            return await self._fetch_unadvertised(remote, ref, name)
        if finished.code != 0:
            # git does not say why a pack broke off when the limit ended it; the size of what is left does.
            half = await self._runner.threaded(partial(disk.half_pack, self._path))
            cause = "file too large" if half >= self._runner.max_pack_bytes else finished.stderr
            raise explain(self._project, ref, finished.code, cause, remote.credential)
        commit = await self._commit(name)
        if commit is None:
            message = f"{self._project}: {ref} does not lead to a commit; correct the ref in the agent's configuration"
            raise GitError("RefNotFound", message)
        self._fetched[name] = commit
        return commit

    async def _fetch_unadvertised(self, remote: Remote, ref: GitRef, name: str) -> str:
        """Find a commit on a server that gives out branches only: fetch them all, with their history."""
        refspec = f"+refs/heads/*:refs/kas-branches/{name.removeprefix('refs/kas/')}/*"
        finished = await self._run_network(remote, (*_FETCH, "--prune", "--", remote.url, refspec))
        if finished.code != 0:
            raise explain(self._project, ref, finished.code, finished.stderr, remote.credential)
        if not await self._has_locally(ref.name):
            raise explain(self._project, ref, 128, "not our ref", None)
        await self._local(("update-ref", name, f"{ref.name}^{{commit}}"))
        self._fetched[name] = ref.name
        return ref.name

    async def _commit(self, name: str) -> str | None:
        """Return the commit of a ref of the mirror, None if there is no such ref or it leads to something else."""
        value = await self._runner.threaded(partial(disk.read_ref, self._path / name))
        if value is None:
            return None
        if value not in self._commits:
            found = (await self._objects([f"{value}^{{commit}}"]))[0]
            if found is None:
                if (await self._objects([value]))[0] is None:
                    raise explain(self._project, None, 128, "bad object", None)
                return None
            if len(self._commits) > 1000:  # noqa: PLR2004 - only to end; it is a cache
                self._commits.clear()
            self._commits[value] = found[0]
        return self._commits[value]

    async def _has_locally(self, commit: str) -> bool:
        return (await self._objects([f"{commit}^{{commit}}"]))[0] is not None

    async def _blobs(self, ids: list[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        answers = await self._objects(ids)
        found = {blob_id: answer[1] for blob_id, answer in zip(ids, answers, strict=True) if answer is not None}
        if len(found) < len(ids):
            raise explain(self._project, None, 128, "missing blob", None)
        return found

    async def _objects(self, names: list[str]) -> list[tuple[str, bytes] | None]:
        try:
            return await self._runner.objects(self._path, names)
        except TimeoutError as error:
            raise self._timeout() from error
        except ReaderBrokenError as error:
            raise explain(self._project, None, 128, f"the object store is corrupt: {error}", None) from error

    async def _infos(self, names: list[str]) -> list[Info]:
        try:
            return await self._runner.infos(self._path, names)
        except TimeoutError as error:
            raise self._timeout() from error
        except ReaderBrokenError as error:
            raise explain(self._project, None, 128, f"the object store is corrupt: {error}", None) from error

    async def _local(self, arguments: Sequence[str]) -> bytes:
        finished = await self._run_local(arguments)
        if finished.overflow:
            raise GitError("TooLarge", f"{self._project}: the repository has too many files; use a smaller one")
        if finished.code != 0:
            raise explain(self._project, None, finished.code, finished.stderr, None)
        return finished.stdout

    async def _run_local(self, arguments: Sequence[str], *, seconds: float | None = None) -> Finished:
        try:
            return await self._runner.local(self._path, arguments, seconds=seconds)
        except TimeoutError as error:
            raise self._timeout() from error
        except OSError as error:
            raise self._storage(error) from error

    async def _run_network(self, remote: Remote, arguments: Sequence[str]) -> Finished:
        try:
            return await self._runner.network(self._path, remote, arguments)
        except TimeoutError as error:
            raise self._timeout() from error
        except OSError as error:
            raise self._storage(error) from error

    async def _remote(self) -> Remote:
        remote = await self._runner.asking(partial(self._remotes.resolved, self._project))
        return replace(remote, url=self._moved) if self._moved else remote

    async def _open(self) -> None:
        """Create the repository where there is none."""
        if self._opened and self._path.is_dir():
            return
        if not (self._path / "HEAD").is_file():
            await self._discard()
            await self._local(("init", "--quiet", "--bare", "--template=", str(self._path)))
        await self._sweep()
        self._opened = True

    async def _discard(self) -> None:
        """Move what there is away and delete it; a name of its own, so that a half-deleted one is never used."""
        await self._runner.forget(self._path)
        self._commits.clear()
        self._opened = False
        away = self._path.with_suffix(".broken")
        try:
            await self._runner.threaded(partial(disk.remove, self._path, away))
        except OSError as error:
            raise self._storage(error) from error

    async def _start_anew(self) -> None:
        """Replace a damaged mirror by an empty one and fetch what readers may still ask for, as far as it exists."""
        await self._discard()
        await self._open()
        remote = await self._remote()
        refspecs = [f"+{commit}:{name}" for name, commit in self._fetched.items()]
        for refspec in refspecs:
            # One by one, since a commit that the server has dropped fails the whole fetch. What is really wrong with
            # the server, the caller's own attempt will say.
            await self._run_network(remote, (*_FETCH, "--depth=1", "--", remote.url, refspec))

    async def _recover(self) -> None:
        async with self._lock:
            await self._start_anew()

    async def _sweep(self) -> None:
        """Remove what killed git processes left behind: they would lock out or crowd out the next."""
        if not self._tidying:
            await self._runner.threaded(partial(disk.sweep, self._path))

    def _timeout(self) -> GitError:
        message = f"{self._project}: git did not end in time; it is tried again by itself, git.timeout sets the limit"
        return GitError("Timeout", message, retryable=True)

    def _storage(self, error: OSError) -> GitError:
        message = f"{self._project}: the mirror cannot be used ({error.strerror}); look at kas's data directory"
        return GitError("StorageFailed", message, retryable=True)


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
