"""Fixtures of the tests of kas/git."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from tests.integration.kas_git.git_helpers import settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.git_server import GitServer


@pytest.fixture
async def mirrors(git_server: GitServer, tmp_path: Path) -> AsyncIterator[Mirrors]:
    """Mirrors of the test's own Git server."""
    opened = Mirrors(settings_for(git_server.template), tmp_path / "data")
    yield opened
    await opened.close()
