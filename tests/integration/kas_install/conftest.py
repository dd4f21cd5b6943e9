"""Fixtures: an installation of this test alone on the worker's cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.git_server import GitServer


@pytest.fixture
def cluster(started_control_plane: ControlPlane) -> ControlPlane:
    """A cluster of our own: these tests give cluster-wide rights away."""
    return started_control_plane


@pytest.fixture
def installation(tmp_path: Path, git_server: GitServer, cluster: ControlPlane) -> Iterator[Installation]:
    """A kas of this test alone, running."""
    with Installation(tmp_path, git_server, cluster.kubeconfig) as running:
        yield running
