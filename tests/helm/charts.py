"""Linting and rendering charts with the real Helm."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KUBERNETES = "1.36.0"
"""What charts are rendered for; a Helm that Go has built by itself takes the cluster for a very old one."""

CHARTS = ROOT / "manifests" / "charts"


class HelmError(AssertionError):
    """Helm refused; the text is what it said."""


class Helm:
    """Helm, with nothing of the user's own settings."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home

    def lint(self, chart: str, values: Mapping[str, object]) -> str:
        """Lint a chart, warnings being failures; return what was said."""
        return self._run("lint", str(CHARTS / chart), "--strict", values=values)

    def template(self, chart: str, values: Mapping[str, object], *, namespace: str = "default") -> list[dict[str, Any]]:
        """Render a chart; return its objects."""
        text = self._run("template", "release", str(CHARTS / chart), "--namespace", namespace, values=values)
        return [one for one in yaml.safe_load_all(text) if one is not None]

    def _run(self, *args: str, values: Mapping[str, object]) -> str:
        done = subprocess.run(
            [self._program, *args, "--kube-version", KUBERNETES, "--values", "-"],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            env={**os.environ, "HELM_CACHE_HOME": str(self._home), "HELM_CONFIG_HOME": str(self._home)},
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout
