"""Finding or building Gitea, cached outside the work tree like the control plane."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_build import GoBuild

BUILD = GoBuild(
    name="gitea",
    module=Path(__file__).resolve().parent,
    packages=("code.gitea.io/gitea",),
    flags=("-trimpath", "-tags", "sqlite sqlite_unlock_notify"),
    cgo=True,  # its SQLite is C
)

STATIC = ("templates", "options", "public")


@dataclass(frozen=True)
class GiteaBinary:
    """The program, and the directory with the data files that it reads while it runs."""

    program: Path
    static: Path


def find_gitea() -> GiteaBinary:
    """Return Gitea, building it when this machine has none.

    Raises:
        GoBuildError: it is not cached and Go or a C compiler is missing, or the build failed.
    """
    directory = BUILD.ensure()
    static = directory / "static"
    if not static.is_dir():
        module = BUILD.module_directory("code.gitea.io/gitea")
        partial = directory / f"static.{os.getpid()}"
        for name in STATIC:
            # Contents without modes: the module cache is read-only, and a cache nobody can delete is a nuisance.
            shutil.copytree(module / name, partial / name, copy_function=shutil.copyfile)
        _make_writable(partial)
        try:
            partial.rename(static)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return GiteaBinary(directory / "gitea", static)


def _make_writable(top: Path) -> None:
    for directory, _, _ in os.walk(top):
        Path(directory).chmod(0o755)
