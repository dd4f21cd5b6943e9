"""Choosing the cluster: an existing one when asked for, otherwise a control plane of our own."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.controlplane.binaries import find_binaries
from tests.controlplane.server import ControlPlane
from tests.support.kube import Kube

if TYPE_CHECKING:
    from collections.abc import Iterator


class ExistingClusterError(RuntimeError):
    """An existing cluster was asked for and no kubeconfig of it was given."""


@dataclass(frozen=True)
class ExistingCluster:
    """Somebody's own cluster, used as it is and left running.

    It offers what ``ControlPlane`` offers, apart from stopping its API server.
    """

    kubeconfig: Path
    url: str
    runs_controllers: bool = True

    def start_ready_pods(self) -> None:
        """Do nothing: an existing cluster has nodes."""


Cluster: TypeAlias = ControlPlane | ExistingCluster


def existing_kubeconfig() -> Path | None:
    """Return the kubeconfig of the existing cluster that the environment asks for, if it asks for one.

    ``AGENTK_TEST_KUBECONFIG=file``, or ``USE_KUBECONFIG=1`` for what kubectl would use.

    Raises:
        ExistingClusterError: the file does not exist.
    """
    chosen = os.environ.get("AGENTK_TEST_KUBECONFIG")
    if not chosen and os.environ.get("USE_KUBECONFIG", "0") not in {"", "0"}:
        chosen = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not chosen:
        return None
    if not Path(chosen).is_file():
        raise ExistingClusterError(
            f"an existing cluster was asked for, and there is no kubeconfig {chosen}; "
            "set KUBECONFIG to one file, or unset USE_KUBECONFIG to get a control plane of our own"
        )
    return Path(chosen)


@contextmanager
def open_cluster() -> Iterator[Cluster]:
    """Yield the existing cluster if one is asked for, otherwise our own, which ends with the context."""
    if (kubeconfig := existing_kubeconfig()) is not None:
        kube = Kube(kubeconfig)
        url = kube.url
        kube.close()
        yield ExistingCluster(kubeconfig, url)
    else:
        with open_control_plane() as control_plane:
            yield control_plane


@contextmanager
def open_control_plane(*flags: str) -> Iterator[ControlPlane]:
    """Yield a fresh control plane of our own, whatever the environment says about existing ones.

    ``flags`` are more of the API server's.
    """
    binaries = find_binaries()
    with (
        tempfile.TemporaryDirectory(prefix="agentk-controlplane-", ignore_cleanup_errors=True) as directory,
        ControlPlane(binaries, Path(directory), flags=flags) as control_plane,
    ):
        yield control_plane
