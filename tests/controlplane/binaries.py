"""Finding the control plane's programs: KUBEBUILDER_ASSETS, then the cache, then ``go build``, then a clear error."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.go_build import GoBuild, GoBuildError

KUBERNETES = "v1.36.3"
"""The release that go.mod requires; the version flags must say the same, or clients misjudge the server as v0.0.0."""

KWOK_MODULE = "sigs.k8s.io/kwok"
KWOK_STAGES = ("node/fast", "node/heartbeat", "pod/fast")

_MAJOR, _MINOR, _ = KUBERNETES.removeprefix("v").split(".")
_VERSION = "k8s.io/component-base/version"

BUILD = GoBuild(
    name="controlplane",
    module=Path(__file__).resolve().parent,
    packages=(
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "sigs.k8s.io/kwok/cmd/kwok",
    ),
    flags=(
        "-trimpath",
        "-ldflags",
        f"-s -w -X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor={_MAJOR} -X {_VERSION}.gitMinor={_MINOR}",
    ),
)


class BinariesError(RuntimeError):
    """KUBEBUILDER_ASSETS is set and does not hold what it promises."""


@dataclass(frozen=True)
class Binaries:
    """Paths of the programs.

    Only the first two are always there: envtest's archives hold no more, and without Go the rest cannot be built.
    """

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path | None = None
    kube_scheduler: Path | None = None
    kwok: Path | None = None
    kwok_stages: Path | None = None


def find_binaries() -> Binaries:
    """Return the programs to run, building them when this machine has none.

    Raises:
        BinariesError: KUBEBUILDER_ASSETS lacks a program that envtest's archives hold.
        GoBuildError: nothing is cached and Go is missing, or the build failed.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return _from_assets(Path(assets)) if assets else _built()


def _built() -> Binaries:
    directory = BUILD.ensure()
    return Binaries(
        etcd=directory / "server",  # what Go calls the binary of go.etcd.io/etcd/server/v3
        kube_apiserver=directory / "kube-apiserver",
        kube_controller_manager=directory / "kube-controller-manager",
        kube_scheduler=directory / "kube-scheduler",
        kwok=directory / "kwok",
        kwok_stages=_stages(directory),
    )


def _from_assets(assets: Path) -> Binaries:
    """Take etcd and kube-apiserver from envtest's directory, and what it lacks from the build where one is possible."""
    etcd, kube_apiserver = assets / "etcd", assets / "kube-apiserver"
    missing = [program.name for program in (etcd, kube_apiserver) if not program.is_file()]
    if missing:
        raise BinariesError(
            f"KUBEBUILDER_ASSETS={assets} has no {' and no '.join(missing)}; "
            "unset it to build the control plane, or fill it with `setup-envtest use`"
        )
    try:
        return replace(_built(), etcd=etcd, kube_apiserver=kube_apiserver)
    except GoBuildError:
        return Binaries(etcd, kube_apiserver)


def _stages(directory: Path) -> Path:
    """Return the file that tells kwok how nodes and pods come to life, gathered from kwok's own module."""
    stages = directory / "stages.yaml"
    if not stages.is_file():
        kustomize = BUILD.module_directory(KWOK_MODULE) / "kustomize" / "stage"
        files = [file for stage in KWOK_STAGES for file in sorted((kustomize / stage).glob("*.yaml"))]
        documents = [file.read_text() for file in files if file.name != "kustomization.yaml"]
        partial = directory / f"stages.yaml.{os.getpid()}"
        partial.write_text("\n---\n".join(documents))
        partial.rename(stages)
    return stages
