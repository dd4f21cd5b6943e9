"""The few things done to a mirror's files behind git's back. All block; nothing of git is running in the mirror."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kas.git.refs import is_commit_id

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


def remove(mirror: Path, away: Path) -> None:
    """Delete a mirror, by renaming it to ``away`` first: what is half deleted is never taken for a mirror."""
    shutil.rmtree(away, ignore_errors=True)
    if mirror.exists():
        mirror.rename(away)
        shutil.rmtree(away, ignore_errors=True)
