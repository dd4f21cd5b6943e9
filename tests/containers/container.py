"""Running a program of a built image as Kubernetes would: its user, a read-only root, no privilege, a small /tmp."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Everything is mounted in a name space that ends with the program. The first two arguments are the root, and where in
# it to mount what the third is.
_SANDBOX = """
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$1/tmp"
[ -z "$3" ] || mount --bind "$3" "$1$2"
mount -o remount,bind,ro "$1"
root=$1
shift 3
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """A built image: its file system, how it is run, and its OCI archive."""

    root: Path
    configuration: dict[str, Any]
    archive: Path

    @property
    def user(self) -> int:
        """The number of the user that it runs as."""
        return int(self.configuration["User"].partition(":")[0])

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, volume: tuple[str, Path] | None = None) -> str:
        """Run its entry point, and return what was printed, whatever the exit code."""
        done = subprocess.run(
            self._command(arguments, env or {}, volume), capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def start(
        self, *arguments: str, log: Path, env: Mapping[str, str] | None = None, volume: tuple[str, Path] | None = None
    ) -> Process:
        """Start its entry point."""
        return Process("container", self._command(arguments, env or {}, volume), log=log)

    def _command(
        self, arguments: tuple[str, ...], env: Mapping[str, str], volume: tuple[str, Path] | None
    ) -> list[str]:
        where, what = volume or ("", "")
        group = self.configuration["User"].partition(":")[2]
        variables = [*self.configuration["Env"], *(f"{name}={value}" for name, value in env.items())]
        return [
            *("unshare", "--mount", "--propagation=private", "--", "sh", "-ec", _SANDBOX, "sh"),
            *(str(self.root), where, str(what)),
            *("/usr/bin/setpriv", f"--reuid={self.user}", f"--regid={group}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=KILL", "--"),
            *("/usr/bin/env", "-i", *variables, *self.configuration["Entrypoint"], *arguments),
        ]
