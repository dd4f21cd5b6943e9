"""pytest fixtures for the parts that every machine can run: a Git server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.git_server import GitServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A Git server of this test alone, running."""
    with GitServer(tmp_path / "git") as server:
        yield server
