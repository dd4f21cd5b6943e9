"""The few things done to a mirror's files behind git's back. All block; nothing of git is running in the mirror."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Final

from kas.git.refs import is_commit_id

_MARK = "kas-used"
"""A file in each mirror; it was last used when this was last written."""

_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
"""Of a bare repository with refs as files and ids of 40 digits, as gitrepository-layout has it."""

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LEFTOVERS = ("*.lock", "refs/kas/*.lock", "objects/pack/tmp_*", "objects/info/*.lock")


def create(mirror: Path) -> None:
    """Write an empty bare repository, as ``git init --bare`` does; ``HEAD``, by which it is known, comes last."""
    for folder in ("objects/pack", "refs/kas"):
        (mirror / folder).mkdir(parents=True, exist_ok=True)
    (mirror / "config").write_text(_CONFIG)
    (mirror / "HEAD").write_text("ref: refs/heads/main\n")


def read_ref(path: Path) -> str | None:
    """Return the object id that a ref's file holds, None if there is no such ref or no id in it."""
    try:
        value = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return value if is_commit_id(value) else None


def write_ref(path: Path, value: str) -> None:
    """Let a ref have an object id. Locked as git does it; ``FileExistsError`` where git has locked it."""
    path.parent.mkdir(exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    _write_new(lock, f"{value}\n".encode())
    lock.replace(path)


def read_shallow(mirror: Path) -> list[str]:
    """Return the commits whose parents were left out."""
    try:
        lines = (mirror / "shallow").read_text("ascii").split()
    except FileNotFoundError:
        return []
    return [line for line in lines if is_commit_id(line)]


def lock_shallow(mirror: Path, commits: Iterable[str]) -> Path:
    """Write what ``shallow`` is to be beside it, where git would; to be renamed or deleted. ``FileExistsError``."""
    lock = mirror / "shallow.lock"
    _write_new(lock, "".join(f"{commit}\n" for commit in commits).encode())
    return lock


def _write_new(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)


def half_pack(mirror: Path) -> int:
    """Return the size in bytes of the largest pack that was not received to its end."""
    return max((left.stat().st_size for left in mirror.glob("objects/pack/tmp_*")), default=0)


def sweep(mirror: Path) -> None:
    """Remove locks and half-written packs of git processes that were killed."""
    for pattern in _LEFTOVERS:
        for left in mirror.glob(pattern):
            left.unlink(missing_ok=True)


def mark_used(mirror: Path) -> None:
    """Note that a mirror is used now; nothing happens where there is none."""
    if mirror.is_dir():
        (mirror / _MARK).touch()


def unused_since(root: Path, seconds: float) -> list[Path]:
    """Return the mirrors below ``root`` that were not used for so long, and what was left of deleting others."""
    before = time.time() - seconds
    return [folder for folder in root.iterdir() if folder.is_dir() and _last_used(folder) < before]


def _last_used(mirror: Path) -> float:
    for path in (mirror / _MARK, mirror):
        try:
            return path.stat().st_mtime
        except OSError:  # a mirror of before there were marks, or one that has just gone
            continue
    return time.time()


def remove(mirror: Path, away: Path) -> None:
    """Delete a mirror, by renaming it to ``away`` first: what is half deleted is never taken for a mirror."""
    shutil.rmtree(away, ignore_errors=True)
    if mirror.exists():
        mirror.rename(away)
        shutil.rmtree(away, ignore_errors=True)
