"""Fixtures: an installation of this test alone on the worker's cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane.server import ControlPlane
from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer


@pytest.fixture
def cluster(control_plane: Cluster) -> ControlPlane:
    """A cluster of our own: these tests give cluster-wide rights away."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("gives cluster-wide rights away, which somebody's own cluster is spared")
    return control_plane


@pytest.fixture
def installation(tmp_path: Path, git_server: GitServer, cluster: ControlPlane) -> Iterator[Installation]:
    """A kas of this test alone, running."""
    with Installation(tmp_path, git_server, cluster.kubeconfig) as running:
        yield running
