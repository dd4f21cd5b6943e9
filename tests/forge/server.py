"""Running Gitea on loopback, as an unprivileged user: it refuses root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from tests.forge.client import Gitea, Login
from tests.support.processes import Process, dies_with_us, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.forge.binary import GiteaBinary

HOST = "127.0.0.1"
UNPRIVILEGED = "nobody"
ADMIN = "forge-admin"
READY_SECONDS = 90.0

SETTINGS = """\
APP_NAME = forge
RUN_MODE = prod

[server]
PROTOCOL = http
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = {url}/
STATIC_ROOT_PATH = {static}
OFFLINE_MODE = true
DISABLE_SSH = true

[database]
DB_TYPE = sqlite3
PATH = {work}/gitea.db

[repository]
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v2

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback

[log]
MODE = console
LEVEL = warn
"""


@contextmanager
def running_gitea(binary: GiteaBinary) -> Iterator[Gitea]:
    """Yield a fresh Gitea, which ends with the context together with its data."""
    with ExitStack() as stack:
        # Not pytest's own temporary directory, which no other user may enter.
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentk-gitea-", ignore_cleanup_errors=True)))
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        data = top / "data"
        data.mkdir()
        if user is not None:
            # The cache is usually below root's home, which no other user may enter.
            program, static = _bring(binary, top)
            top.chmod(0o755)
            shutil.chown(data, user)
        else:
            program, static = binary.program, binary.static
        port = free_port()
        url = f"http://{HOST}:{port}"
        settings = data / "app.ini"
        settings.write_text(SETTINGS.format(host=HOST, port=port, url=url, static=static, work=data))
        if user is not None:
            shutil.chown(settings, user)  # it writes its own secrets there
        arguments = ["-c", str(settings), "-w", str(data)]
        environment = {"HOME": str(data), "TMPDIR": str(data), "USER": user or os.environ.get("USER", "")}
        server = Process(
            "gitea", [program, "web", *arguments], log=top / "gitea.log", env=environment, cwd=data, user=user
        )
        stack.callback(server.kill)
        server.wait_until(lambda: _healthy(url), what="/api/healthz answers", within=READY_SECONDS)
        create = ["admin", "user", "create", "--admin", "--username", ADMIN, "--email", f"{ADMIN}@example.com"]
        answer = subprocess.run(
            # A random password and a token: neither ever stands among the arguments.
            [*dies_with_us(user), program, *create, "--random-password", "--access-token", *arguments],
            env={**os.environ, **environment},
            cwd=data,
            capture_output=True,
            text=True,
            check=True,
        )
        token = re.search(r"Access token was successfully created\S* (\w+)", answer.stdout)
        assert token is not None
        work = top / "work"
        work.mkdir()
        gitea = Gitea(url, Login(ADMIN, token[1]), work)
        stack.callback(gitea.close)
        yield gitea


def _bring(binary: GiteaBinary, top: Path) -> tuple[Path, Path]:
    """Put the program and its data files where the unprivileged user can read them, by hard links where possible."""
    program, static = top / "gitea", top / "static"
    _link(binary.program, program)
    shutil.copytree(binary.static, static, copy_function=_link)
    return program, static


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


def _healthy(url: str) -> bool:
    with suppress(urllib3.exceptions.HTTPError), urllib3.PoolManager() as pool:
        return pool.request("GET", f"{url}/api/healthz", timeout=5.0, retries=False).status == 200
    return False
