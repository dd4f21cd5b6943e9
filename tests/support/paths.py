"""Where the repository and its caches lie."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The work tree that these tests belong to."""


def cache_directory() -> Path:
    """Return the directory that outlives every clone: builds of real servers, virtual environments."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "agentk-dev"
