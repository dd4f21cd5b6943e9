"""Making the files of a release with the tools of each kind: hatchling, buildah or podman, git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from agentlink import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ("agentk", "kas")
_BUILD_SECONDS: Final = 1800


class ReleaseError(Exception):
    """A release cannot be made. The text says what to do."""


def commit() -> str:
    """Return the commit that is released.

    Raises:
        ReleaseError: There are changes that no commit holds, or a tag of this commit names another version.
    """
    if changes := _git("status", "--porcelain"):
        raise ReleaseError(f"commit or remove these first, so that the release is what the commit holds:\n{changes}")
    versions = [tag for tag in _git("tag", "--points-at", "HEAD").split() if tag.startswith("v")]
    if versions and f"v{__version__}" not in versions:
        raise ReleaseError(f"HEAD has the tag {versions[0]}, and agentlink/__init__.py the version {__version__}")
    return _git("rev-parse", "HEAD")


def commit_time() -> datetime:
    """Return the time of the commit, which stands for the time of the release wherever a time is written."""
    return datetime.fromtimestamp(int(_git("log", "-1", "--format=%ct")), UTC)


def repository() -> str:
    """Return where the sources are: as CI says, or as git's remote has it, without credentials."""
    url = os.environ.get("CI_PROJECT_URL") or _git("config", "--default", "", "--get", "remote.origin.url")
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else "unknown"


def distribution(folder: Path) -> list[Path]:
    """Build wheel and source distribution; the same commit gives the same bytes."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(int(commit_time().timestamp()))}
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    _run(command, environment)
    return sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])


def wheel_version(wheel: Path) -> str:
    """Return the version that a wheel says it is."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return next(line.removeprefix("Version: ") for line in lines if line.startswith("Version: "))


def images(folder: Path) -> dict[str, Path]:
    """Build the images and write each as an OCI archive.

    Raises:
        ReleaseError: Neither buildah nor podman is there.
    """
    tool = next((tool for tool in ("buildah", "podman") if shutil.which(tool)), None)
    if tool is None:
        raise ReleaseError("install buildah or podman to build the images, or leave them out: make release IMAGES=no")
    _run([str(ROOT / "scripts" / "images")], {**os.environ, "TAG": __version__, "REGISTRY": "localhost/"})
    archives = {}
    for program in PROGRAMS:
        archives[program] = folder / f"{program}-{__version__}.oci.tar"
        target = f"oci-archive:{archives[program]}:{program}:{__version__}"
        _run([tool, "push", "--quiet", f"localhost/{program}:{__version__}", target], dict(os.environ))
    return archives


def base_image() -> str:
    """Return the image that both are made from, ``name@sha256:…``, unless ``BASE`` names another."""
    containerfile = (ROOT / "manifests/images/Containerfile.agentk").read_text()
    pinned = next(line.removeprefix("ARG BASE=") for line in containerfile.splitlines() if line.startswith("ARG BASE="))
    return os.environ.get("BASE") or pinned


def digest_of(file: Path) -> str:
    """Return a file's SHA-256 as hex digits."""
    return sha256(file.read_bytes()).hexdigest()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise ReleaseError(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
