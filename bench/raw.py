"""The raw limit: the same requests that agentk sends, from a compiled program that does nothing else."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentk.apply.model import Kind, ProjectSettings, Snapshot
from agentk.apply.names import FIELD_MANAGER
from agentk.apply.resolve import resolve
from agentk.kube.paths import object_path
from agentlink.manifests.model import Limits
from agentlink.manifests.parse import parse_file
from tests.support.go_build import GoBuild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.server import ControlPlane

CONNECTIONS = 32

BUILD = GoBuild(name="bench-load", module=Path(__file__).parent / "load", packages=(".",), flags=("-trimpath",))


class LoadError(RuntimeError):
    """The load tool's requests were not all taken."""


@dataclass(frozen=True)
class _OnlyConfigMaps:
    def find(self, group: str, kind: str, version: str) -> Kind | None:
        """Know the one kind that the benchmarks push."""
        known = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
        return known if (group, kind, version) == ("", "ConfigMap", "v1") else None

    def verbs(self, kind: Kind) -> frozenset[str]:
        """Say nothing of what can be done with it."""
        del kind
        return frozenset()


def write_requests(files: Mapping[str, str], namespace: str, target: Path) -> None:
    """Write the requests that agentk would send for these manifests, made by its own code and that of kas.

    The label names an agent that does not exist, so that the raw objects are nobody's.
    """
    parsed = {path: parse_file(path, "", text.encode(), Limits()) for path, text in files.items()}
    sources = {path: tuple(one.json for one in file.objects) for path, file in parsed.items()}
    settings = ProjectSettings(0, "bench/raw", "0-0", namespace)
    resolved = resolve(Snapshot(0, "", "", b"", sources), settings, _OnlyConfigMaps(), 0)
    with target.open("w") as out:
        for one in resolved.desired:
            path = f"{object_path(one.kind, one.ref)}?fieldManager={FIELD_MANAGER}&force=false"
            out.write(json.dumps({"path": path, "body": resolved.body_of(one).decode()}) + "\n")


def apply(requests: Path, control_plane: ControlPlane, directory: Path) -> float:
    """Send the requests of a file; return the seconds from the first one to the last answer."""
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(control_plane.token)
    done = subprocess.run(
        [
            str(BUILD.ensure() / "load"),
            f"-url={control_plane.url}",
            f"-ca={control_plane.ca_file}",
            f"-token-file={token}",
            f"-requests={requests}",
            f"-connections={CONNECTIONS}",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    if answer["failed"]:
        raise LoadError(f"{answer['failed']} requests failed: {done.stderr[-1000:]}")
    return float(answer["seconds"])
