"""While the API server is away nobody claims that all is well, and afterwards everything is right again by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation
from tests.support.kube import Kube
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.git_server import GitServer

pytestmark = pytest.mark.cluster

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def versions(kube: Kube) -> list[str]:
    """Return what changes with every write: the versions of the one object and of the inventory."""
    (inventory,) = kube.get(CONFIG_MAPS, labelSelector="cli-utils.sigs.k8s.io/inventory-id")["items"]
    return [each["metadata"]["resourceVersion"] for each in (kube.get(f"{CONFIG_MAPS}/a"), inventory)]


def test_an_idle_project_is_not_shown_as_healthy_while_the_api_server_is_away(
    tmp_path: Path, git_server: GitServer, own_control_plane: ControlPlane
) -> None:
    with Installation(tmp_path, git_server, own_control_plane.kubeconfig) as installation:
        kas = installation.kas
        repository = git_server.create("group/config")
        first = repository.push_files({**config_files("idle", "default"), "manifests/a.yaml": config_map("a")})
        installation.agent("idle", project="group/config")
        kas.wait_sync("idle", state="healthy", commit=first)
        kube = Kube(own_control_plane.kubeconfig)
        before = versions(kube)

        own_control_plane.stop_api_server()

        sync = kas.wait_sync("idle", state="failed", reason="ApiServerUnreachable")
        assert "cannot reach" in sync["message"]

        own_control_plane.start_api_server()

        kas.wait_sync("idle", state="healthy", commit=first)
        assert versions(kube) == before
        kube.patch(f"{CONFIG_MAPS}/a", {"data": {"value": "drifted"}})
        wait_until(lambda: kube.get(f"{CONFIG_MAPS}/a")["data"]["value"] == "1", what="drift is put back")
        kube.close()
