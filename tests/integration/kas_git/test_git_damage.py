"""Mirrors that were damaged, and git processes that hang or die."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from tests.integration.kas_git.git_helpers import (
    MAIN,
    PROJECT,
    HangingServer,
    children,
    family,
    files_of,
    path_of,
    refused,
    settings_for,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.git_server import GitServer


@pytest.mark.parametrize("damage", ["packs", "head", "pack bytes", "refs", "config", "lock"])
async def test_a_damaged_mirror_is_fetched_anew(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, damage: str
) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    path = path_of(tmp_path)
    match damage:
        case "packs":
            shutil.rmtree(path / "objects")
        case "head":
            (path / "HEAD").unlink()
        case "pack bytes":
            for pack in path.glob("objects/pack/*.pack"):
                pack.chmod(0o600)
                pack.write_bytes(b"\0" * pack.stat().st_size)
        case "refs":
            for ref in (path / "refs" / "kas").iterdir():
                ref.write_text("")
        case "config":
            (path / "config").write_text("[nonsense")
        case "lock":
            for ref in list((path / "refs" / "kas").iterdir()):
                ref.with_suffix(".lock").touch()
            commit = repository.push_files({"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
    # Another process of kas, after the damage: nothing of the first is left in memory.
    again = Mirrors(settings_for(git_server.template), tmp_path / "data")
    try:
        assert await again.mirror(PROJECT).fetch(MAIN) == commit
        assert (await files_of(again.mirror(PROJECT), commit))["a.yaml"] == b"a: 1\n"
    finally:
        await again.close()


async def test_a_mirror_that_is_damaged_while_in_use_recovers_in_the_call_that_meets_it(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path
) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    (entry,) = await mirror.tree(commit)
    for pack in list(path_of(tmp_path).glob("objects/pack/*")):
        pack.unlink()
    await mirrors._runner.forget(mirror._repository.path)  # an open cat-file would go on reading the deleted pack
    assert await mirror.blobs([entry.blob_id]) == {entry.blob_id: b"a: 1\n"}
    shutil.rmtree(path_of(tmp_path) / "objects")
    assert await mirror.tree(commit) == (entry,)


async def test_a_fetch_whose_git_is_killed_fails_and_the_next_one_works(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HangingServer() as server:
        mirrors = Mirrors(settings_for(server.as_proxy(monkeypatch)), tmp_path / "data")
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(refused(mirrors.mirror(PROJECT), MAIN))
            await server.arrived.wait()
            for pid in children():
                os.kill(pid, signal.SIGKILL)
        assert fetching.result().retryable
        await mirrors.close()
    monkeypatch.delenv("http_proxy")
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    mirrors = Mirrors(settings_for(git_server.template), tmp_path / "data")
    assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit
    await mirrors.close()


@pytest.mark.parametrize("way", ["timeout", "cancelled"])
async def test_a_hanging_git_is_ended_with_its_children(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HangingServer() as server:
        settings = settings_for(server.as_proxy(monkeypatch), timeout=1.0 if way == "timeout" else 60.0)
        mirrors = Mirrors(settings, tmp_path / "data")
        fetching = asyncio.gather(refused(mirrors.mirror(PROJECT), MAIN))
        await server.arrived.wait()
        assert len(family()) > 1
        if way == "timeout":
            assert (await fetching)[0].reason == "Timeout"
        else:
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
        await eventually(lambda: not family(), what="no git process is left")
        await mirrors.close()


async def test_many_packs_become_one(mirrors: Mirrors, git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    pack = path_of(tmp_path) / "objects" / "pack"
    (kept,) = pack.glob("*.pack")
    for number in range(60):
        shutil.copy(kept, pack / f"pack-{number:040x}.pack")
        shutil.copy(kept.with_suffix(".idx"), pack / f"pack-{number:040x}.idx")
    await mirrors.maintain()
    assert len(list(pack.glob("*.pack"))) == 1
    assert await files_of(mirror, commit) == {"a.yaml": b"a: 1\n"}
    assert await mirror.fetch(MAIN) == commit
