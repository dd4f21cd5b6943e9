"""Building the images with buildah, as root and without a registry; cached outside the work tree.

The base image cannot be pulled where tests run, so a Debian of the same release, made with debootstrap, stands in for
it under its name. An image is built once for everything that goes into it, and only the newest is kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.paths import ROOT, cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("agentk", "kas")
BASE = "debian:bookworm-slim"
RELEASE = "bookworm"

_TOOLS = ("buildah", "debootstrap")
_BASE_PACKAGES = "ca-certificates,python3"
_UNNEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/lib/apt/lists",
    "var/cache/apt",
)
_CONTEXT = ("LICENSE", "README.md", "pyproject.toml", "requirements", "agentk", "agentlink", "kas", "manifests/images")
_BUILD_SECONDS = 900
_IMAGES = 400
# A directory that every Debian has and nobody uses: mounting there leaves nothing in an image.
_MOUNT = "/mnt"


class ImagesUnavailableError(Exception):
    """Images cannot be built on this machine; the text says why."""


class Builder:
    """One storage of images, for one user at a time; made by ``open_builder``."""

    def __init__(self, directory: Path, runtime: Path, driver: str) -> None:
        self._directory = directory
        self._layers = driver == "overlay"
        storage = directory / driver
        self._storage = ("--root", str(storage), "--runroot", str(runtime), "--storage-driver", driver)

    def buildah(self, *arguments: str) -> str:
        """Run buildah and return what it printed; the end of its log is in the error."""
        done = subprocess.run(
            ["buildah", *self._storage, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"buildah {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout.strip()

    def images(self) -> dict[str, str]:
        """Build what is not built yet; return the image of each program."""
        key = _key()
        wanted = {program: f"localhost/{program}:{key}" for program in PROGRAMS}
        there = self._there()
        missing = [program for program, image in wanted.items() if image not in there]
        if missing:
            self._make_base(there)
            # One after the other where the second finds the layers of the first.
            with ThreadPoolExecutor(1 if self._layers else len(missing)) as pool:
                list(pool.map(lambda program: self._build(program, wanted[program]), missing))
            for image in there - set(wanted.values()):
                if image.startswith(tuple(f"localhost/{program}:" for program in PROGRAMS)):
                    self.buildah("rmi", image)
        return wanted

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """Yield the root of a container made from an image."""
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)

    def configuration(self, image: str) -> dict[str, Any]:
        """Return how an image is run, as the OCI image specification has it."""
        configuration: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
        return configuration

    def works(self) -> bool:
        """Tell whether this machine can mount such storage; remove the containers of runs that were killed."""
        try:
            self.buildah("rm", "--all")
            container = self.buildah("from", "scratch")
            self.buildah("mount", container)
            self.buildah("rm", container)
        except AssertionError:
            return False
        return True

    def tidy(self) -> None:
        """Forget the layers of old sources when they have become many."""
        if len(self.buildah("images", "--all", "--quiet").split()) > _IMAGES:
            self.buildah("rmi", "--prune")

    def _there(self) -> set[str]:
        listed = json.loads(self.buildah("images", "--json") or "null") or []
        return {name for image in listed for name in image.get("names") or ()}

    def _make_base(self, there: set[str]) -> None:
        if any(image.endswith(f"/{BASE}") for image in there):
            return
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            root = Path(directory) / "root"
            _run("debootstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", RELEASE, str(root))
            for name in _UNNEEDED:
                for entry in (root / name).iterdir():
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry)
                    else:
                        entry.unlink()
            container = self.buildah("from", "scratch")
            self.buildah("add", "--quiet", container, str(root), "/")
            self.buildah("commit", "--quiet", "--rm", container, BASE)

    def _build(self, program: str, image: str) -> None:
        with tempfile.TemporaryDirectory(dir=self._directory) as mounted:
            self.buildah(
                "bud",
                "--isolation=chroot",
                # With vfs each layer would be a whole copy of the file system.
                f"--layers={str(self._layers).lower()}",
                "--pull-never",
                f"--build-arg=BASE={BASE}",
                "--build-arg=VERSION=1.2.3",
                *_through_this_machines_proxy(Path(mounted)),
                f"--file=manifests/images/Containerfile.{program}",
                f"--tag={image}",
                ".",
            )


@contextmanager
def open_builder() -> Iterator[Builder]:
    """Yield the builder of this machine, for this process alone.

    Raises:
        ImagesUnavailableError: it needs root, Debian's buildah and debootstrap, and storage that can be mounted.
    """
    if os.geteuid() != 0:
        raise ImagesUnavailableError("building images without a registry needs root, for debootstrap and chroot")
    directory = cache_directory() / "images"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="agentk-images-") as runtime:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
        builders = (Builder(directory, Path(runtime), driver) for driver in ("overlay", "vfs"))
        builder = next((builder for builder in builders if builder.works()), None)
        if builder is None:
            raise ImagesUnavailableError("buildah cannot mount a file system here, neither overlay nor vfs")
        yield builder
        builder.tidy()


def _install() -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ImagesUnavailableError(f"{' and '.join(missing)} must be installed, and there is no apt-get to do it")
    try:
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "--yes", "-qq", "--no-install-recommends", *missing)
    except subprocess.CalledProcessError as error:
        raise ImagesUnavailableError(f"{' and '.join(missing)} cannot be installed:\n{error.stderr}") from error


def _run(*argv: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(argv, env=environment, check=True, capture_output=True, text=True, timeout=_BUILD_SECONDS)


def _key() -> str:
    """Return what stands for everything that goes into the images."""
    digest = hashlib.sha256()
    for name in _CONTEXT:
        top = ROOT / name
        for file in [top] if top.is_file() else sorted(top.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    digest.update((ROOT / ".containerignore").read_bytes())
    return digest.hexdigest()[:16]


def _through_this_machines_proxy(mounted: Path) -> list[str]:
    """Let pip reach the package index as this machine's pip does: by its mirror, and with the authority it trusts."""
    arguments = []
    if authority := os.environ.get("PIP_CERT"):
        shutil.copyfile(authority, mounted / "authorities.pem")
        arguments += [f"--volume={mounted}:{_MOUNT}:ro", f"--build-arg=PIP_CERT={_MOUNT}/authorities.pem"]
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments.append(f"--build-arg=PIP_INDEX_URL={index}")
    return arguments
