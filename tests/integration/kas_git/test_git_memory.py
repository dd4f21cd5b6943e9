"""Packs of a few kilobytes that were made to take hundreds of megabytes of git: refused, and named."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, path_of, refused, settings_for
from tests.support.git_repository import fast_import, git

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.git_server import GitServer

MEMORY = 64 * 1024**2
LARGE = 96 * 1024**2


def zeros(size: int) -> Iterator[bytes]:
    piece = bytes(1024**2)
    yield from (piece for _ in range(size // len(piece)))


def head(kind: int, size: int) -> bytes:
    """Return the beginning of an object in a pack (gitformat-pack)."""
    data, size = [kind << 4 | size & 15], size >> 4
    while size:
        data[-1] |= 0x80
        data.append(size & 0x7F)
        size >>= 7
    return bytes(data)


def size_in_delta(size: int) -> bytes:
    data = []
    while size > 0x7F:
        data.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*data, size])


def delta_bomb(base: bytes) -> bytes:
    """Return a pack of a blob and of a difference that makes it ``LARGE``, in a few hundred bytes."""
    copy = b"\xf0" + len(base).to_bytes(3, "little")  # all of the base, from its beginning
    delta = size_in_delta(len(base)) + size_in_delta(LARGE) + copy * (LARGE // len(base))
    blob = head(3, len(base)) + zlib.compress(base)
    reference = hashlib.sha1(b"blob %d\0%b" % (len(base), base)).digest()  # noqa: S324 - Git's
    pack = b"PACK" + (2).to_bytes(4, "big") + (2).to_bytes(4, "big") + blob
    pack += head(7, len(delta)) + reference + zlib.compress(delta)
    return pack + hashlib.sha1(pack).digest()  # noqa: S324 - Git's


@pytest.fixture
async def bounded(git_server: GitServer, tmp_path: Path) -> AsyncIterator[Mirrors]:
    mirrors = Mirrors(replace(settings_for(git_server.template), memory=MEMORY), tmp_path / "data")
    yield mirrors
    await mirrors.close()


def serve(git_server: GitServer, commit_files: bytes) -> str:
    """Let main of the project be a commit with what a stream for ``git fast-import`` says."""
    git_server.create(PROJECT)
    bare = git_server.bare(PROJECT)
    git("config", "core.bigFileThreshold", "1g", cwd=bare)
    return fast_import(bare, commit_files)


def commit(message: bytes, *changes: bytes) -> bytes:
    start = b"commit refs/heads/main\ncommitter d <d@example.com> 1700000000 +0000\n"
    return start + b"data %d\n%b\n" % (len(message), message) + b"".join(changes)


async def test_a_difference_that_makes_a_giant_of_a_few_bytes_is_refused_and_named(
    git_server: GitServer, tmp_path: Path, bounded: Mirrors
) -> None:
    git_server.create(PROJECT)
    bare = git_server.bare(PROJECT)
    (tmp_path / "bomb.pack").write_bytes(delta_bomb(bytes(1024**2)))
    assert (tmp_path / "bomb.pack").stat().st_size < 10_000
    with (tmp_path / "bomb.pack").open("rb") as bomb:
        command = ["git", "index-pack", "--stdin", "--fix-thin"]
        subprocess.run(command, cwd=bare, stdin=bomb, check=True, capture_output=True)  # noqa: ASYNC221 - nothing else runs
    giant = hashlib.sha1(b"blob %d\0" % LARGE)  # noqa: S324 - Git's
    for piece in zeros(LARGE):
        giant.update(piece)
    base = hashlib.sha1(b"blob %d\0%b" % (1024**2, bytes(1024**2)))  # noqa: S324 - Git's
    # The server sends a difference as it has it, where what it is from is sent, too.
    names = ((base, "a"), (giant, "b"))
    fast_import(bare, commit(b"x", *(f"M 100644 {one.hexdigest()} {name}.bin\n".encode() for one, name in names)))

    error = await refused(bounded.mirror(PROJECT), MAIN)

    assert error.reason == "TooLarge"
    assert "raise git.memory" in str(error)
    assert not [*path_of(tmp_path).glob("objects/pack/*")]
    other = git_server.create("group/other").push_files({"a.yaml": "a: 1\n"})
    assert await bounded.mirror("group/other").fetch(MAIN) == other


async def test_a_giant_file_beside_the_manifests_takes_no_memory(git_server: GitServer, bounded: Mirrors) -> None:
    giant = b"M 100644 inline a.bin\ndata %d\n%b\n" % (LARGE, bytes(LARGE))
    served = serve(git_server, commit(b"x", giant, b"M 100644 inline b.yaml\ndata 5\na: 1\n\n"))
    mirror = bounded.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == served
    (entry,) = [one for one in await mirror.tree(served) if one.path == "b.yaml"]
    assert await mirror.blobs([entry.blob_id]) == {entry.blob_id: b"a: 1\n"}


async def test_a_commit_with_a_giant_message_is_refused_and_named(git_server: GitServer, bounded: Mirrors) -> None:
    served = serve(git_server, commit(b"x" * 20_000_000, b"M 100644 inline b.yaml\ndata 5\na: 1\n\n"))
    error = await refused(bounded.mirror(PROJECT), MAIN)
    assert error.reason == "TooLarge"
    assert f"commit {served} has 20000" in str(error)
