"""A project on the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentk.kube.client import KubeClient
from tests.support.engine import Project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.controlplane.cluster import Cluster


@pytest.fixture
async def client(control_plane: Cluster) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as connected:
        yield connected


@pytest.fixture
def project(client: KubeClient, namespace: str) -> Project:
    return Project(client, namespace)
