"""The images of both programs, built for real and run as Kubernetes runs them."""

from __future__ import annotations

import os
import stat
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from agentlink import __version__
from scripts.release.contents import image_parts, pinned
from tests.containers.building import PROGRAMS, ImagesUnavailableError, open_builder
from tests.containers.container import Image
from tests.support.paths import ROOT
from tests.support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The first run makes a Debian and builds both images.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

EACH = pytest.mark.parametrize("program", PROGRAMS)
BUILDERS = {"pip", "pip3", "gcc", "cc", "g++", "c++", "cpp", "make", "ld", "as", "go", "cargo", "rustc"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    """The images, built unless they are there already."""
    with ExitStack() as stack:
        try:
            builder = stack.enter_context(open_builder())
        except ImagesUnavailableError as error:
            pytest.skip(str(error))
        built = builder.images()
        archives = tmp_path_factory.mktemp("archives")
        for program, image in built.items():
            builder.buildah("push", "--quiet", image, f"oci-archive:{archives / program}:{program}:1.2.3")
        yield {
            program: Image(
                stack.enter_context(builder.mounted(image)), builder.configuration(image), archives / program
            )
            for program, image in built.items()
        }


def files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in an image by its path in there; links are not followed."""
    for directory, directories, names in os.walk(root):
        for name in (*directories, *names):
            path = os.path.join(directory, name)  # noqa: PTH118 - fast, for tens of thousands of files
            yield path.removeprefix(str(root)), os.lstat(path)


@EACH
def test_the_program_runs_as_its_user_on_a_read_only_root(images: dict[str, Image], program: str) -> None:
    assert images[program].run("--version") == f"{program} {__version__}\n"


@EACH
def test_how_the_image_is_run_says_who_what_and_where(images: dict[str, Image], program: str) -> None:
    configuration = images[program].configuration

    assert configuration["User"] == "10001:10001"
    assert configuration["Entrypoint"] == [program]
    assert "TMPDIR=/tmp" in configuration["Env"]
    assert configuration["Labels"]["org.opencontainers.image.title"] == program
    assert configuration["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    ports = {"agentk": {"8081/tcp"}, "kas": {"8150/tcp", "8151/tcp", "8152/tcp", "8153/tcp"}}
    assert set(configuration["ExposedPorts"]) == ports[program]


@EACH
def test_nothing_in_it_installs_compiles_or_changes_the_user(images: dict[str, Image], program: str) -> None:
    found = dict(files(images[program].root))

    assert not [path for path in found if "/bin/" in path and path.rpartition("/")[2] in BUILDERS]
    assert not [path for path in found if path.endswith(("/pip/__init__.py", "/setuptools/__init__.py", "/hatchling"))]
    assert not [
        path
        for path, info in found.items()
        if stat.S_ISREG(info.st_mode) and info.st_mode & (stat.S_ISUID | stat.S_ISGID)
    ]


@EACH
def test_its_user_can_write_to_nothing_but_what_is_meant_for_data(images: dict[str, Image], program: str) -> None:
    user = images[program].user
    writable = {
        path
        for path, info in files(images[program].root)
        if not stat.S_ISLNK(info.st_mode)
        and (
            info.st_mode & stat.S_IWOTH
            or (info.st_gid == user and info.st_mode & stat.S_IWGRP)
            or (info.st_uid == user and info.st_mode & stat.S_IWUSR)
        )
    }

    temporary = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108 - as Debian has them
    devices = {path for path in writable if path.startswith("/dev/")}
    assert writable - temporary - devices == ({"/var/lib/kas"} if program == "kas" else set())


@EACH
def test_the_bill_of_an_image_has_its_packages_with_their_licences(images: dict[str, Image], program: str) -> None:
    parts = {(part.origin, part.name): part for part in image_parts(images[program].archive)}

    assert ("pypi", "agentk") in parts
    assert ("deb", "python3.11") in parts
    assert (("deb", "git") in parts) == (program == "kas")
    assert parts["pypi", "cryptography"].licence == "Apache-2.0 OR BSD-3-Clause"
    assert parts["pypi", "cryptography"].texts
    pins = pinned(ROOT / "requirements/runtime.txt")
    assert {part.name: part.version for part in parts.values() if part.name in pins and part.origin == "pypi"} == {
        name: version for name, version in pins.items() if ("pypi", name) in parts
    }


@EACH
def test_a_small_image_holds_neither_the_sources_nor_what_built_them(images: dict[str, Image], program: str) -> None:
    assert not (images[program].root / "source").exists()
    assert not (images[program].root / "build").exists()
    assert not list((images[program].root / "mnt").iterdir())
    assert sum(info.st_size for _, info in files(images[program].root)) < 600 * 1024**2


def test_kas_and_agentk_work_together_from_their_images(images: dict[str, Image], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, images["kas"].user, images["kas"].user)
    ports = {name: free_port() for name in ("websocket", "grpc", "api", "observability")}
    env = {
        "KAS_AGENT_LISTENER__WEBSOCKET_ADDRESS": f"127.0.0.1:{ports['websocket']}",
        "KAS_AGENT_LISTENER__GRPC_ADDRESS": f"127.0.0.1:{ports['grpc']}",
        "KAS_API__ADDRESS": f"127.0.0.1:{ports['api']}",
        "KAS_OBSERVABILITY__ADDRESS": f"127.0.0.1:{ports['observability']}",
        "KAS_ADDRESS": f"http://127.0.0.1:{ports['api']}",
    }
    kas, volume = images["kas"], ("/var/lib/kas", data)

    checked = kas.run("check", env=env, volume=volume)
    assert checked.rstrip().endswith(" 0 FAILED"), checked
    assert "git 2." in checked
    running = kas.start(*kas.configuration["Cmd"], log=tmp_path / "kas.log", env=env, volume=volume)
    try:

        def ready() -> bool:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{ports['observability']}/readiness", timeout=5
                ) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        running.wait_until(ready, what="kas is ready")
        # The command line inside the container finds the first API token by itself.
        kas.run("agent", "create", "--project", "group/config", "--name", "mine", env=env, volume=volume)
        token = kas.run("token", "create", "--agent", "mine", env=env, volume=volume)
        (tmp_path / "token").write_text(next(line for line in token.splitlines() if line.startswith("glagent-")))
        (tmp_path / "token").chmod(0o644)
        tmp_path.chmod(0o755)

        found = images["agentk"].run(
            *("check", "--kas-address", f"ws://127.0.0.1:{ports['websocket']}", "--token-file", "/mnt/token"),
            volume=("/mnt", tmp_path),
        )

        assert "kas takes it for agent group/config:mine" in found
    finally:
        running.terminate()
