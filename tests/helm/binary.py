"""Finding or building Helm, cached outside the work tree like the control plane."""

from __future__ import annotations

from pathlib import Path

from tests.support.go_build import GoBuild

BUILD = GoBuild(
    name="helm",
    module=Path(__file__).resolve().parent,
    packages=("helm.sh/helm/v3/cmd/helm",),
    flags=("-trimpath", "-ldflags", "-s -w"),
)


def find_helm() -> Path:
    """Return the program, building it when this machine has none.

    Raises:
        GoBuildError: it is not cached and Go is missing or too old, or the build failed.
    """
    return BUILD.ensure() / "helm"
