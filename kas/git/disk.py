"""The few things done to a mirror's files behind git's back. All block; nothing of git is running in the mirror."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from kas.git.refs import is_commit_id

_MARK = "kas-used"
"""A file in each mirror; it was last used when this was last written."""

if TYPE_CHECKING:
    from pathlib import Path

_LEFTOVERS = ("*.lock", "refs/kas/*.lock", "objects/pack/tmp_*", "objects/info/*.lock")


def read_ref(path: Path) -> str | None:
    """Return the object id that a ref's file holds, None if there is no such ref or no id in it."""
    try:
        value = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return value if is_commit_id(value) else None


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
