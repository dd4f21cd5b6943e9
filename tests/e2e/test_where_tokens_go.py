"""Where the command line sends tokens: the local administrator's to loopback alone, others to the kas they are of."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Kas
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stranger(ThreadingHTTPServer):
    """Somebody who is no kas; writes down what comes.

    Listens on loopback as all tests do, and is reached there by an address that is none of loopback's.
    """

    daemon_threads = True
    redirect = ""

    def __init__(self) -> None:
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), _Asked)

    @property
    def url(self) -> str:
        return f"http://0.0.0.0:{self.server_port}"


class _Asked(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization", ""))
        if self.server.redirect:
            self.send_response(307)
            self.send_header("Location", self.server.redirect + self.path)
        else:
            self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def kas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kas]:
    """A running kas, with the token that it has left in its data directory."""
    running = Kas(tmp_path_factory.mktemp("kas"), "https://127.0.0.1:9/{project}.git")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def run(kas: Kas, tmp_path: Path, *args: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of this machine who has set nothing but where kas keeps its files."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KAS_")}
    return subprocess.run(
        [sys.executable, "-m", "kas", *args],
        input=stdin,
        capture_output=True,
        text=True,
        env={
            **kept,
            "PYTHONPATH": str(ROOT),
            "KAS_DATA_DIR": str(kas.directory / "data"),
            "XDG_CONFIG_HOME": str(tmp_path),
            **environment,
        },
        timeout=60,
        check=False,
    )


def test_the_local_administrators_token_is_found_for_this_machine(kas: Kas, tmp_path: Path) -> None:
    assert run(kas, tmp_path, "get", "agents", "--address", kas.api).returncode == 0
    assert run(kas, tmp_path, "get", "agents", "--address", kas.api.replace("127.0.0.1", "localhost")).returncode == 0


@pytest.mark.parametrize("how", ["option", "environment"])
def test_it_goes_to_no_other_machine(kas: Kas, stranger: Stranger, tmp_path: Path, how: str) -> None:
    given = ("--address", stranger.url) if how == "option" else ()
    environment = {} if how == "option" else {"KAS_ADDRESS": stranger.url}
    for more in ((), ("--allow-http",)):
        ran = run(kas, tmp_path, "get", "agents", *given, *more, **environment)
        assert ran.returncode == 1
        assert "is of the kas on this machine" in ran.stderr
        assert f"kas login {stranger.url}" in ran.stderr
    assert stranger.seen == []


def test_no_token_travels_unencrypted_to_another_machine_unless_that_is_said(
    kas: Kas, stranger: Stranger, tmp_path: Path
) -> None:
    refused = run(kas, tmp_path, "get", "agents", KAS_ADDRESS=stranger.url, KAS_TOKEN="kasapi-mine")
    assert refused.returncode == 1
    assert "use https://" in refused.stderr
    assert "--allow-http" in refused.stderr
    login = run(kas, tmp_path, "login", stranger.url, stdin="kasapi-mine")
    assert (login.returncode, "--allow-http" in login.stderr) == (1, True)
    assert stranger.seen == []
    run(kas, tmp_path, "get", "agents", "--allow-http", KAS_ADDRESS=stranger.url, KAS_TOKEN="kasapi-mine")
    assert stranger.seen == ["Bearer kasapi-mine"]


def test_a_token_in_the_environment_is_of_the_kas_that_stands_beside_it(
    kas: Kas, stranger: Stranger, tmp_path: Path
) -> None:
    ran = run(
        kas,
        tmp_path,
        *("get", "agents", "--allow-http", "--address", stranger.url),
        KAS_ADDRESS="https://kas.example.com",
        KAS_TOKEN="kasapi-mine",
    )
    assert ran.returncode == 1
    assert "KAS_TOKEN stands beside KAS_ADDRESS" in ran.stderr
    assert stranger.seen == []


def test_a_remembered_login_goes_nowhere_else(kas: Kas, stranger: Stranger, tmp_path: Path) -> None:
    token = kas.admin_token.read_text()
    assert run(kas, tmp_path, "login", kas.api, stdin=token).returncode == 0
    assert run(kas, tmp_path, "get", "agents", KAS_DATA_DIR=str(tmp_path)).returncode == 0
    ran = run(kas, tmp_path, "get", "agents", "--allow-http", "--address", stranger.url, KAS_DATA_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert stranger.seen == [""]


def test_no_redirect_is_followed(kas: Kas, stranger: Stranger, tmp_path: Path) -> None:
    with Stranger() as elsewhere:
        stranger.redirect = elsewhere.url
        ran = run(kas, tmp_path, "get", "agents", "--allow-http", KAS_ADDRESS=stranger.url, KAS_TOKEN="kasapi-mine")
        assert ran.returncode == 1
        assert f"leads to {elsewhere.url}" in ran.stderr
        assert elsewhere.seen == []
