"""Fixtures of the end-to-end tests: an installation of this test alone on the worker's shared cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer


@pytest.fixture
def installation(tmp_path: Path, git_server: GitServer, control_plane: Cluster) -> Iterator[Installation]:
    """A kas of this test alone, running; agents are the test's to add."""
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as running:
        yield running
