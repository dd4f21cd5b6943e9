"""Pods that become Ready without containers: a real scheduler, and one node whose kubelet kwok plays."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support.kube import Kube
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.controlplane.binaries import Binaries

NODE = "node-1"
READY_SECONDS = 60.0


class ReadyPodsUnavailableError(RuntimeError):
    """The programs at hand cannot make pods Ready."""


class ReadyPods:
    """A context manager: while it is open, pods on the cluster get scheduled and become Ready."""

    def __init__(self, binaries: Binaries, directory: Path, kubeconfig: Path) -> None:
        self._binaries = binaries
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        scheduler_binary, kwok_binary, stages = (
            self._binaries.kube_scheduler,
            self._binaries.kwok,
            self._binaries.kwok_stages,
        )
        if scheduler_binary is None or kwok_binary is None or stages is None:
            raise ReadyPodsUnavailableError(
                "KUBEBUILDER_ASSETS holds no kube-scheduler and no kwok; install Go, and they are built"
            )
        kube = Kube(self._kubeconfig)
        stack.callback(kube.close)
        if kube.find(f"/api/v1/nodes/{NODE}") is None:
            kube.create("/api/v1/nodes", _node())
        scheduler = Process(
            "kube-scheduler",
            [
                scheduler_binary,
                f"--kubeconfig={self._kubeconfig}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={free_port()}",
            ],
            log=self._directory / "kube-scheduler.log",
        )
        stack.callback(scheduler.kill)
        kwok = Process(
            "kwok",
            [
                kwok_binary,
                f"--kubeconfig={self._kubeconfig}",
                "--manage-all-nodes=true",
                f"--config={stages}",
                f"--server-address=127.0.0.1:{free_port()}",
            ],
            log=self._directory / "kwok.log",
        )
        stack.callback(kwok.kill)
        kwok.wait_until(lambda: _is_ready(kube), what=f"node {NODE} is Ready", within=READY_SECONDS)


def _is_ready(kube: Kube) -> bool:
    node = kube.get(f"/api/v1/nodes/{NODE}")
    conditions = {condition["type"]: condition["status"] for condition in node.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def _node() -> dict[str, object]:
    resources = {"cpu": "64", "memory": "256Gi", "pods": "2000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
            },
        },
        "status": {"allocatable": resources, "capacity": resources},
    }
