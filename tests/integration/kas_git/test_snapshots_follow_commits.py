"""Snapshots made from the one before, by what changed, against those made from nothing: real commits of every kind."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from agentlink.manifests.model import Limits, ManifestError
from kas.git.refs import GitRef, RefKind
from kas.gitops.snapshots import Snapshots, Wanted
from tests.integration.kas_git.git_helpers import MAIN, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from kas.desired.model import Snapshot
    from kas.git.mirrors import Mirrors
    from tests.support.git_repository import GitRepository
    from tests.support.git_server import GitServer

SELECTIONS = (("/a/**/*.yaml",), ("/b/*.yaml",), ("/**/*.yaml",), ("/c/one.yaml", "/a/x.yaml"))


def manifest(name: str, value: str = "1") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{v: '{value}'}}\n"


def files_of(snapshot: Snapshot) -> dict[str, list[bytes]]:
    return {file.path: [one.json for one in file.objects] for file in snapshot.files}


async def made(snapshots: Snapshots, globs: tuple[str, ...], commit: str) -> tuple[object, ...]:
    """Return what becomes of a commit, to be compared."""
    try:
        snapshot = await snapshots.make(Wanted(PROJECT, globs, "default"), commit)
    except ManifestError as error:
        return (error.reason, str(error))
    return (snapshot.commit, snapshot.digest, files_of(snapshot), snapshot.submodules)


def change(repository: GitRepository) -> None:
    repository.write({"a/x.yaml": manifest("x", "2")})


def add_and_remove(repository: GitRepository) -> None:
    repository.write({"b/new.yaml": manifest("new")})
    (repository.path / "a/x.yaml").unlink()


def rename(repository: GitRepository) -> None:
    (repository.path / "a/deep/y.yaml").rename(repository.path / "b/y.yaml")


def exchange(repository: GitRepository) -> None:
    one, two = repository.path / "a/x.yaml", repository.path / "b/z.yaml"
    texts = one.read_text(), two.read_text()
    one.write_text(texts[1])
    two.write_text(texts[0])


def make_executable(repository: GitRepository) -> None:
    (repository.path / "a/x.yaml").chmod(0o755)


def directory_becomes_file(repository: GitRepository) -> None:
    shutil.rmtree(repository.path / "a/deep")
    repository.write({"a/deep": "no manifest\n"})


def file_becomes_directory(repository: GitRepository) -> None:
    (repository.path / "a/x.yaml").unlink()
    repository.write({"a/x.yaml/inner.yaml": manifest("x", "3")})


def file_becomes_link(repository: GitRepository) -> None:
    (repository.path / "a/x.yaml").unlink()
    (repository.path / "a/x.yaml").symlink_to("../other/target.txt")


def empty(repository: GitRepository) -> None:
    shutil.rmtree(repository.path / "b")


def spoil(repository: GitRepository) -> None:
    repository.write({"b/z.yaml": "a: [\n"})


def unrelated(repository: GitRepository) -> None:
    repository.write({"README.md": "news\n", "other/target.txt": manifest("target", "2")})


def history_replaced(repository: GitRepository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "anew")
    repository.git("branch", "-D", "main")
    repository.git("branch", "-m", "main")
    repository.write({"a/x.yaml": manifest("x", "anew"), "c/one.yaml": manifest("one")})


@pytest.mark.parametrize(
    "do",
    [
        change,
        add_and_remove,
        rename,
        exchange,
        make_executable,
        directory_becomes_file,
        file_becomes_directory,
        file_becomes_link,
        empty,
        spoil,
        unrelated,
        history_replaced,
    ],
)
async def test_a_commit_followed_is_the_commit_read_whole(
    mirrors: Mirrors, git_server: GitServer, do: Callable[[GitRepository], None]
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files(
        {
            "a/x.yaml": manifest("x"),
            "a/deep/y.yaml": manifest("y"),
            "b/z.yaml": manifest("z"),
            "c/one.yaml": manifest("one"),
            "other/target.txt": manifest("target"),
        }
    )
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == first
    following = Snapshots(mirrors, Limits())
    for globs in SELECTIONS:
        await made(following, globs, first)
    do(repository)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", do.__name__)
    repository.git("push", "--quiet", "--force", "origin", "HEAD:main")
    second = repository.head()
    assert await mirror.fetch(MAIN) == second
    # There and back again, since each way is a difference of its own.
    for commit in (second, first, second):
        for globs in SELECTIONS:
            assert await made(following, globs, commit) == await made(Snapshots(mirrors, Limits()), globs, commit)


async def test_a_commit_that_touches_nothing_selected_reads_nothing(
    mirrors: Mirrors, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a/x.yaml": manifest("x"), "b/y.yaml": manifest("y")})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    snapshots = Snapshots(mirrors, Limits())
    wanted = Wanted(PROJECT, ("/a/*.yaml",), "default")
    before = await snapshots.make(wanted, first)
    second = repository.push_files({"b/y.yaml": manifest("y", "2")})
    await mirror.fetch(MAIN)

    async def never(*_: object) -> None:
        raise AssertionError("the whole repository, or a file of it, was read")

    for name in ("tree", "blobs", "sizes"):
        monkeypatch.setattr(mirror, name, never)
    after = await snapshots.make(wanted, second)
    assert (after.commit, after.digest) == (second, before.digest)
    assert after.files is before.files


async def test_many_askers_have_one_made_and_make_it_themselves_when_the_first_gives_up(
    mirrors: Mirrors, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({"a/x.yaml": manifest("x")})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    snapshots, going = Snapshots(mirrors, Limits()), asyncio.Event()
    begun: asyncio.Queue[list[str]] = asyncio.Queue()
    read = mirror.blobs

    async def slowly(ids: list[str]) -> dict[str, bytes]:
        begun.put_nowait(ids)
        await going.wait()
        return await read(ids)

    monkeypatch.setattr(mirror, "blobs", slowly)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        wanted = Wanted(PROJECT, ("/a/*.yaml",), "default")
        first = tasks.create_task(snapshots.make(wanted, commit))
        await begun.get()
        others = [tasks.create_task(snapshots.make(wanted, commit)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        await begun.get()
        going.set()
    assert begun.empty()
    assert all(other.result() is others[0].result() for other in others)


async def test_only_what_changed_is_read(
    mirrors: Mirrors, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({f"a/{n}.yaml": manifest(f"n{n}") for n in range(20)})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    snapshots = Snapshots(mirrors, Limits())
    wanted = [Wanted(PROJECT, (glob,), "default") for glob in ("/a/*.yaml", "/a/[0-9].yaml", "/**/*.yaml")]
    for one in wanted:
        await snapshots.make(one, first)
    second = repository.push_files({"a/7.yaml": manifest("n7", "2")})
    await mirror.fetch(MAIN)
    asked: list[str] = []
    read = mirror.blobs

    async def noted(ids: list[str]) -> dict[str, bytes]:
        asked.extend(ids)
        return await read(ids)

    monkeypatch.setattr(mirror, "blobs", noted)
    for one in wanted:
        await snapshots.make(one, second)
    assert asked == [repository.git("rev-parse", "HEAD:a/7.yaml").strip()]


async def test_links_are_followed_inside_the_repository(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.write({"base/one.yaml": manifest("one"), "notes": "x"})
    (repository.path / "app").mkdir()
    (repository.path / "current").symlink_to("base")
    (repository.path / "app/linked.yaml").symlink_to("../current/one.yaml")
    first = repository.push_files({})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    snapshots = Snapshots(mirrors, Limits())
    wanted = Wanted(PROJECT, ("/app/*.yaml",), "default")
    assert b'"1"' in files_of(await snapshots.make(wanted, first))["app/linked.yaml"][0]
    # What the link leads to changes, and the link does not.
    second = repository.push_files({"base/one.yaml": manifest("one", "2")})
    await mirror.fetch(MAIN)
    assert b'"2"' in files_of(await snapshots.make(wanted, second))["app/linked.yaml"][0]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "leaves the repository"),
        ("../../outside.yaml", "leaves the repository"),
        ("../away/x.yaml", "leaves the repository"),
        ("nowhere.yaml", "does not exist"),
        ("bad.yaml", "leads back to itself"),
        ("../file/x.yaml", "as if it were a directory"),
        ("../base", "to a directory"),
    ],
)
async def test_links_that_lead_elsewhere_are_refused_by_name(
    mirrors: Mirrors, git_server: GitServer, target: str, why: str
) -> None:
    repository = git_server.create(PROJECT)
    repository.write({"base/one.yaml": manifest("one"), "file": "x", "app/good.yaml": manifest("good")})
    (repository.path / "away").symlink_to("../../elsewhere")
    (repository.path / "app/bad.yaml").symlink_to(target)
    commit = repository.push_files({})
    await mirrors.mirror(PROJECT).fetch(MAIN)
    with pytest.raises(ManifestError) as caught:
        await Snapshots(mirrors, Limits()).make(Wanted(PROJECT, ("/app/*.yaml",), "default"), commit)
    assert (caught.value.reason, caught.value.path) == ("SymlinkRefused", "app/bad.yaml")
    assert why in str(caught.value)


async def test_a_pointer_of_git_lfs_is_refused_by_name(mirrors: Mirrors, git_server: GitServer) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    commit = git_server.create(PROJECT).push_files({"a/x.yaml": manifest("x"), "a/large.yaml": pointer})
    await mirrors.mirror(PROJECT).fetch(MAIN)
    with pytest.raises(ManifestError) as caught:
        await Snapshots(mirrors, Limits()).make(Wanted(PROJECT, ("/a/*.yaml",), "default"), commit)
    assert (caught.value.reason, caught.value.path) == ("LfsPointer", "a/large.yaml")
    assert "Git LFS" in str(caught.value)


async def test_submodules_are_left_out_and_named(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.write({"a/x.yaml": manifest("x")})
    repository.git("add", ".")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},a/module")
    repository.git("commit", "--quiet", "--message", "module")
    repository.push()
    commit = await mirrors.mirror(PROJECT).fetch(MAIN)
    snapshots = Snapshots(mirrors, Limits())
    snapshot = await snapshots.make(Wanted(PROJECT, ("/a/**/*.yaml",), "default"), commit)
    assert (list(files_of(snapshot)), snapshot.submodules) == (["a/x.yaml"], ("a/module",))


async def test_a_commit_that_is_gone_from_the_mirror_is_no_base(mirrors: Mirrors, git_server: GitServer) -> None:
    commit = git_server.create(PROJECT).push_files({"a/x.yaml": manifest("x")})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(GitRef(RefKind.COMMIT, commit))
    assert await mirror.changes("1" * 40, commit) is None
    assert await mirror.changes(commit, commit) == ()
