"""Mirrors of projects that nobody uses any more go after a while; whoever comes back is served all the same."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from kas.git import repository
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, files_of, refused

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from kas.git.mirrors import Mirrors
    from tests.support.git_server import GitServer

DAY = 86400.0


def age(folder: Path, days: float) -> None:
    """Make a mirror look as if it was last used so long ago."""
    then = time.time() - days * DAY
    for path in (folder / "kas-used", folder):
        if path.exists():
            os.utime(path, (then, then))


def folders(tmp_path: Path) -> dict[str, Path]:
    return {path.name.rpartition("-")[0]: path for path in (tmp_path / "data" / "mirrors").iterdir()}


async def test_only_what_nobody_fetched_for_long_enough_goes_and_it_comes_back_when_asked_for(
    git_server: GitServer, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MARK_SECONDS", 0.0)
    for name in ("group/used", "group/unused"):
        git_server.create(name).push_files({"a.yaml": "a: 1\n"})
    used, unused = mirrors.mirror("group/used"), mirrors.mirror("group/unused")
    commit = await unused.fetch(MAIN)
    await used.fetch(MAIN)
    assert await mirrors.remove_unused(7 * DAY) == 0
    for folder in folders(tmp_path).values():
        age(folder, 8)
    await used.fetch(MAIN)  # nothing new, and a use all the same

    assert await mirrors.remove_unused(7 * DAY) == 1
    assert set(folders(tmp_path)) == {"group-used"}

    assert await unused.fetch(MAIN) == commit
    assert await files_of(unused, commit) == {"a.yaml": b"a: 1\n"}


async def test_what_an_earlier_kas_left_goes_too_and_a_mirror_whose_server_is_away_stays(
    git_server: GitServer, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MARK_SECONDS", 0.0)
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    commit = await mirror.fetch(MAIN)
    root = tmp_path / "data" / "mirrors"
    for name in ("other-0123.git", "half-deleted-4567.broken"):
        (root / name / "objects").mkdir(parents=True)
    for folder in root.iterdir():
        age(folder, 8)
    git_server.stop()
    await refused(mirror, MAIN)

    assert await mirrors.remove_unused(7 * DAY) == 2
    assert await files_of(mirror, commit) == {"a.yaml": b"a: 1\n"}
