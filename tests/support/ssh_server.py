"""A real SSH server on loopback, Debian's openssh-server, that lets in who holds a key and serves Git repositories."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass(frozen=True)
class SshServer:
    """A running server; its files are in ``directory``. ``log`` has what it says."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        """Return the URL of the root directory, without a slash at its end."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Return where it writes."""
        return self.directory / "sshd.log"

    def new_key(self, name: str) -> Path:
        """Make a key that is not let in yet; return the file with the private one."""
        file = self.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True)
        return file

    def let_in(self, *keys: Path) -> None:
        """Let these keys in, and no others."""
        lines = [key.with_suffix(".pub").read_text() for key in keys]
        (self.directory / "authorized_keys").write_text("".join(lines))

    def known_hosts(self, name: str, key: str = "host") -> Path:
        """Write a known_hosts file that expects this key of the server."""
        file = self.directory / name
        kind, text, _ = (self.directory / f"{key}.pub").read_text().split()
        file.write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")
        return file


@contextlib.contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """Run a server as the current user for as long as the block does."""
    assert SSHD is not None
    directory.mkdir()
    server = SshServer(directory, free_port())
    server.new_key("host")
    server.let_in()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = directory / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{server.port}\n"
        f"HostKey {directory / 'host'}\n"
        f"AuthorizedKeysFile {directory / 'authorized_keys'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    with server.log.open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: "Server listening" in server.log.read_text(), what="the SSH server listens")
        yield server
    finally:
        process.terminate()
        process.wait(10)
