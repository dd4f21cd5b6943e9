"""How fast ``kubectl apply --server-side`` brings ConfigMaps into the cluster: what a pipeline does, with no inventory.

A real kubectl of the control plane's own release, a directory with a file for each of 1,000 objects, which it reads,
validates and sends one after the other, and after the first 300 no more than 50 a second. From its start to its end.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.results import Result
from bench.stage import manifests
from tests.support.go_build import GoBuild

if TYPE_CHECKING:
    from bench.stage import Stage

OBJECTS = 1_000

BUILD = GoBuild(
    name="bench-kubectl",
    module=Path(__file__).parent / "kubectl_program",
    packages=("k8s.io/kubernetes/cmd/kubectl",),
    flags=("-trimpath", "-ldflags", "-s -w"),
)


def measure(stage: Stage, ours: float | None) -> list[Result]:
    """Apply by kubectl.

    Args:
        stage: Where.
        ours: Objects a second of a first sync in the same run, None if there was none.
    """
    kubectl = BUILD.ensure() / "kubectl"
    namespace = stage.namespace("kubectl")
    directory = stage.directory / "kubectl"
    for path, text in manifests(OBJECTS, "kubectl").items():
        file = directory / Path(path).name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    began = time.monotonic()
    subprocess.run(
        [
            str(kubectl),
            f"--kubeconfig={stage.control_plane.kubeconfig}",
            f"--namespace={namespace}",
            f"--cache-dir={stage.directory / 'kubectl-cache'}",
            "apply",
            "--server-side",
            "--filename",
            str(directory),
        ],
        check=True,
        capture_output=True,
    )
    rate = OBJECTS / (time.monotonic() - began)
    results = [Result("kubectl", rate, "objects/s", None, f"kubectl apply --server-side, {OBJECTS:,} objects")]
    if ours is not None:
        results.append(Result("kubectl_ours", ours, "objects/s", ours / rate, "kubectl in the same run"))
    return results
