"""A kas that is set up and does not run, unless a test starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Kas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.git_server import GitServer


@pytest.fixture
def kas(tmp_path: Path, git_server: GitServer) -> Iterator[Kas]:
    """A kas whose settings are all well."""
    prepared = Kas(tmp_path / "kas", git_server.template)
    (prepared.directory / "webhook-secret").chmod(0o600)
    yield prepared
    prepared.stop()
