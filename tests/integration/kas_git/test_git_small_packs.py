"""Small packs, read without git: as git reads them, and none that git would not take."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kas.git.errors import GitError
from kas.git.fresh import MOST_BYTES, Fresh, NotFreshError
from kas.git.mirrors import Mirrors
from kas.git.reader import Info, LedTo
from kas.git.small_packs import Stored, read_pack
from kas.git.trees import NotPlainError
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, children, files_of, path_of, settings_for
from tests.support.git_repository import GitRepository
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.git_server import GitServer

MANIFEST = "kind: ConfigMap\n" + "".join(f"key-{number}: value {number}\n" for number in range(60))
CONNECTED = ("index-pack", "--stdin", "--strict", "--check-self-contained-and-connected")


def packed(repository: GitRepository, *objects: str) -> bytes:
    """Pack some objects; without any, all that there are."""
    arguments = ("--stdout", "-q", "--delta-base-offset")
    names = "\n".join(objects) or repository.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return subprocess.run(
        ["git", "pack-objects", *arguments], cwd=repository.path, input=names.encode(), capture_output=True, check=True
    ).stdout


def signed(body: bytes) -> bytes:
    return body + hashlib.sha1(body).digest()  # noqa: S324 - Git's


def made(*objects: tuple[int, bytes], count: int | None = None) -> bytes:
    """Make a pack of objects by hand: number of the kind and content, each shorter than 16 bytes."""
    head = b"PACK\0\0\0\2" + (len(objects) if count is None else count).to_bytes(4, "big")
    return signed(head + b"".join(bytes([kind << 4 | len(data)]) + zlib.compress(data) for kind, data in objects))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """Every kind of object and entry, and objects that are differences from others."""
    repository = GitRepository(tmp_path_factory.mktemp("repository") / "work", "none")
    for number in range(4):
        files = {f"folder/{place}.yaml": f"{MANIFEST}own: {place}{number}\n{MANIFEST}" for place in range(5)}
        repository.write({**files, "empty.yaml": "", "many/\N{LATIN SMALL LETTER U WITH DIAERESIS} x.yaml": "a: 1\n"})
        repository.commit()
    (repository.path / "link").symlink_to("empty.yaml")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repository.commit()
    repository.git("tag", "--annotate", "-m", "x", "v1")
    return repository


def test_what_is_read_and_the_index_are_those_of_git(repository: GitRepository, tmp_path: Path) -> None:
    pack = packed(repository)
    small = read_pack(pack, ())
    assert {one.kind for one in small.objects.values()} == {"commit", "tree", "blob", "tag"}
    for object_id, one in small.objects.items():
        says = subprocess.run(
            ["git", "cat-file", one.kind, object_id], cwd=repository.path, capture_output=True, check=True
        )
        assert says.stdout == one.content
    file = tmp_path / f"pack-{small.name}.pack"
    file.write_bytes(pack)
    subprocess.run(["git", "index-pack", file], cwd=repository.path, check=True, capture_output=True)
    assert file.with_suffix(".idx").read_bytes() == small.index
    shown = subprocess.run(["git", "verify-pack", "-v", file], capture_output=True, text=True, check=True).stdout
    assert "chain length = 1" in shown, "some of them are to be differences"


def test_a_commit_whose_parents_stay_away_is_whole_without_them(repository: GitRepository) -> None:
    head = repository.head()
    needed = repository.git("rev-list", "--objects", "--no-object-names", "--max-count=1", head).split()
    pack = packed(repository, *needed)
    assert head in read_pack(pack, [head]).objects
    with pytest.raises(NotPlainError):
        read_pack(pack, ())


@pytest.mark.parametrize("left_out", ["{head}^{{tree}}", "{head}:folder", "{head}:folder/1.yaml", "{head}"])
def test_a_pack_without_something_that_it_refers_to_is_left_to_git(repository: GitRepository, left_out: str) -> None:
    without = repository.git("rev-parse", left_out.format(head=repository.head()))
    names = repository.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    with pytest.raises(NotPlainError):
        read_pack(packed(repository, *(name for name in names if name != without)), ())


def test_a_tree_whose_entry_is_of_another_kind_is_left_to_git() -> None:
    blob = hashlib.sha1(b"blob 1\0x").digest()  # noqa: S324 - Git's
    for mode, good in (("100644", True), ("40000", False)):
        tree = f"{mode} a\0".encode() + blob
        pack = b"PACK\0\0\0\2\0\0\0\2\x31" + zlib.compress(b"x")
        pack = signed(pack + bytes([0x80 | 2 << 4 | len(tree) & 15, len(tree) >> 4]) + zlib.compress(tree))
        if good:
            assert len(read_pack(pack, ()).objects) == 2
        else:
            with pytest.raises(NotPlainError):
                read_pack(pack, ())


@pytest.mark.parametrize(
    "pack",
    [
        b"",
        b"PACK\0\0\0\2",
        made((3, b"x"))[:-1] + b"\0",
        made((3, b"x"), count=2),
        made((3, b"x"), (3, b"y"), count=1),
        made((3, b"x"), (3, b"x")),
        made((0, b"x")),
        made((5, b"x")),
        made((7, b"x" * 15)),
        made((1, b"no commit")),
        made((2, b"no tree")),
        made((4, b"no tag")),
        made(*((3, number.to_bytes(2, "big")) for number in range(513))),
        signed(b"PACK\0\0\0\2\0\0\0\1\xbf\xff\xff\xff\x7f" + zlib.compress(bytes(2**20))),
        signed(b"PACK\0\0\0\2\0\0\0\1\x31" + zlib.compress(bytes(2**20))),
        # A difference that makes a megabyte of 15 bytes, twice.
        signed(
            b"PACK\0\0\0\2\0\0\0\2\x3f"
            + zlib.compress(b"x" * 15)
            + b"\x65\x17"
            + zlib.compress(b"\x0f\xff\xff\x7f\x90\x0f")
        ),
        # One from before the beginning.
        signed(b"PACK\0\0\0\2\0\0\0\1\x61\xff\x7f" + zlib.compress(b"x")),
    ],
)
def test_what_is_no_small_pack_is_left_to_git(pack: bytes) -> None:
    with pytest.raises(NotPlainError):
        read_pack(pack, ())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_pack_with_changed_bytes_is_never_taken_where_git_refuses_it(
    repository: GitRepository, tmp_path: Path, data: st.DataObject
) -> None:
    body = bytearray(packed_once(repository)[:-20])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    pack = signed(bytes(body[: data.draw(st.integers(len(body) - 30, len(body)))]))
    try:
        read_pack(pack, ())
    except NotPlainError:
        return
    bare = tmp_path / "bare"
    if not bare.is_dir():
        subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    subprocess.run(["git", *CONNECTED], cwd=bare, input=pack, check=True, capture_output=True)


def packed_once(repository: GitRepository, cache: dict[Path, bytes] = {}) -> bytes:  # noqa: B006 - for the module
    if repository.path not in cache:
        cache[repository.path] = packed(repository)
    return cache[repository.path]


def test_what_came_longest_ago_is_forgotten_first(tmp_path: Path) -> None:
    fresh = Fresh()
    half = {"1" * 40: Stored("blob", bytes(MOST_BYTES // 2 - 1000))}
    for name in ("a", "b", "a", "c"):
        fresh.put(tmp_path / name, half)
    assert [fresh.of(tmp_path / name) is not None for name in "abc"] == [True, False, True]
    fresh.drop(tmp_path / "a")
    fresh.put(tmp_path / "b", half)
    assert [fresh.of(tmp_path / name) is not None for name in "abc"] == [False, True, True]


def test_only_what_is_known_for_certain_is_answered_from_memory(tmp_path: Path) -> None:
    fresh, tree, blob, commit = Fresh(), "2" * 40, "3" * 40, "1" * 40
    fresh.put(
        tmp_path,
        {
            commit: Stored("commit", f"tree {tree}\n".encode()),
            tree: Stored("tree", b"t"),
            blob: Stored("blob", b"b"),
        },
    )
    known = fresh.of(tmp_path)
    assert known is not None
    names = [commit, f"{commit}^{{commit}}", f"{commit}^{{tree}}", f"{tree}^{{tree}}", blob]
    assert [one and one[0] for one in known.contents(names)] == [commit, commit, tree, tree, blob]
    assert known.infos([blob]) == [Info(LedTo.OBJECT, blob, "blob", 1)]
    for name in ("4" * 40, f"{blob}^{{commit}}", f"{blob}^{{tree}}", f"{commit}:a", "main"):
        with pytest.raises(NotFreshError):
            known.contents([commit, name])
    with pytest.raises(NotFreshError):
        known.infos([blob, f"{commit}:a"])


async def test_a_small_repository_is_looked_at_without_any_process_and_outlives_kas(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a/a.yaml": "a: 1\n"})
    commit = repository.push_files({"a/a.yaml": "a: 2\n", "b.yaml": MANIFEST})
    files = {"a/a.yaml": b"a: 2\n", "b.yaml": MANIFEST.encode()}
    mirror = mirrors.mirror(PROJECT)
    with monkeypatch.context() as patch:
        patch.setattr("kas.git.process.GitProcess.open", None)  # as there is none to start
        assert await mirror.fetch(MAIN) == commit
        assert await files_of(mirror, commit) == files
        assert list((await mirror.sizes([entry.blob_id for entry in await mirror.tree(commit)])).values()) == [
            5,
            len(MANIFEST),
        ]
    await mirrors.close()
    git_server.stop()
    again = Mirrors(settings_for(git_server.template), tmp_path / "data")
    assert await again.mirror(PROJECT).last(MAIN) == commit
    assert await files_of(again.mirror(PROJECT), commit) == files
    await again.close()


async def test_a_large_first_look_and_what_a_push_brings_are_taken_in_by_git(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    data = os.urandom(300_000)
    (repository.path / "a.bin").write_bytes(data)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == first
    assert mirrors._runner.fresh.of(mirror._repository.path) is None
    assert (await files_of(mirror, first))["a.bin"] == data
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirror.fetch(MAIN) == second
    assert [change.path for change in await mirror.changes(first, second) or ()] == ["a.yaml"]
    await mirrors.close()
    await eventually(lambda: not children(), what="none is left")


async def test_a_disk_that_refuses_the_small_pack_is_an_error_and_leaves_nothing(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("kas.git.disk.add_pack", full)
        patch.setattr("kas.git.process.GitProcess.open", full)
        with pytest.raises(GitError) as caught:
            await mirror.fetch(MAIN)
    assert caught.value.reason == "StorageFailed"
    assert mirrors._runner.fresh.of(mirror._repository.path) is None
    assert not [*path_of(tmp_path).glob("objects/pack/*"), *path_of(tmp_path).glob("*.lock")]
    assert await mirror.fetch(MAIN) == commit
