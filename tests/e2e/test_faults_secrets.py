"""Credentials never show: not in logs, status, events, arguments or environments, whichever way fetching fails."""

from __future__ import annotations

import base64
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.driven import Driven
from tests.support.installation import Installation, Kas
from tests.support.manifests import config_files, config_map
from tests.support.processes import ProcessEndedError
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

USER = "robot"
PASSWORD = "Pa55word/of+the:robot"
WRONG = "An0ther/wrong+password"
LEAKED = "S3cret-of-a-manifest"
SETTINGS = """\
git:
  url_template: "{template}"
  allowed_schemes: [http]
  poll_interval: 1s
  timeout: 5s
  credential: {{kind: basic, username: {user}, token_file: {file}}}
  projects:
    own/hanging:
      url: "http://127.0.0.1:{port}/own/hanging.git"
      credential: {{kind: basic, username: {user}, token_file: {file}}}
"""


def _forms(secret: str) -> set[bytes]:
    """Return what a secret looks like wherever it might come up."""
    plain = {secret, quote(secret, safe=""), quote(secret)}
    encoded = {base64.b64encode(text.encode()).decode() for text in (secret, f"{USER}:{secret}")}
    return {text.rstrip("=").encode() for text in plain | encoded}


def _descendants(pid: int) -> set[int]:
    """Return the process and all that it started."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _shown_by(pid: int) -> list[bytes]:
    """Return arguments and environment, which anybody of the same user can read, of a process and all it started."""
    shown = []
    for one in _descendants(pid):
        for name in ("cmdline", "environ"):
            try:
                shown.append(Path(f"/proc/{one}/{name}").read_bytes())
            except OSError:  # it has ended
                continue
    return shown


@pytest.fixture
def nobody_answers() -> Iterator[int]:
    """The port of a server that sends kas' own client away, so that it takes git, and never answers that."""
    over = Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["User-Agent"].startswith("git/kas"):
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            else:
                over.wait()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hanging) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_port
        over.set()
        server.shutdown()
        serving.join()


def test_no_way_of_failing_shows_a_credential(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str, *, nobody_answers: int
) -> None:
    secret_file = tmp_path / "git-password"
    secret_file.write_text(f"{PASSWORD}\n")
    settings = SETTINGS.format(template=git_server.template, user=USER, file=secret_file, port=nobody_answers)
    with Installation(tmp_path / "installation", git_server, control_plane.kubeconfig, settings=settings) as running:
        kas = running.kas
        repository = git_server.create("own/private", username=USER, password=PASSWORD)
        driven = Driven(kas, "main", "own/private", repository, kube, namespace)
        config = config_files("main", namespace, "own/private", "own/hanging", "own/nothing")
        first = driven.push({**config, "manifests/private.yaml": config_map("private")})
        agent = running.agent("main", project="own/private")
        driven.wait("healthy", commit=first)

        seen = _shown_by(agent.process.pid)
        hanging = f"127.0.0.1:{nobody_answers}".encode()
        at_work = wait_until(
            lambda: [shown for shown in _shown_by(kas.process.pid) if hanging in shown],
            what="a git process of kas is at work with the credential",
        )
        seen += [*at_work, *_shown_by(kas.process.pid)]
        kas.wait_sync("main", state="failed", project="own/hanging", reason="Timeout")
        kas.wait_sync("main", state="failed", project="own/nothing", reason="RepositoryNotFound")

        driven.push({"manifests/secret.yaml": _secret()})
        driven.wait("failed")
        driven.push({"manifests/secret.yaml": f"{_secret()}  broken: [{LEAKED}\n"})
        driven.wait("failed", reason="InvalidYAML")

        secret_file.write_text(WRONG)
        kas.webhook("own/private")
        denied = driven.wait("failed", reason="AccessDenied")
        assert "give the project a credential" in denied["message"]
        seen += _shown_by(kas.process.pid)
        git_server.stop()
        driven.wait("failed", reason="Unreachable")
        git_server.start()
        secret_file.write_bytes(PASSWORD.encode() + b"\n\xff")
        kas.webhook("own/private")
        assert str(secret_file) in driven.wait("failed", reason="AccessDenied")["message"]
        secret_file.write_text(PASSWORD)
        kas.webhook("own/private")
        good = driven.remove("manifests/secret.yaml")
        driven.wait("healthy", commit=good)

        token = agent.token_file.read_text().strip()
        admin = (kas.directory / "data" / "admin-token").read_text().strip()
        seen += [path.read_bytes() for path in (kas.log, agent.log)]
        seen += [kas.cli(*command, "-o", "json").encode() for command in (("get", "syncs"), ("events",))]
        seen += [json.dumps(kas.get(what, **query)).encode() for what, query in _QUESTIONS]
        for secret in (PASSWORD, WRONG, token, admin, LEAKED):
            for form in _forms(secret):
                assert not [shown for shown in seen if form in shown], f"{secret[:4]}… is shown as {form!r}"
    left = [file for file in (kas.directory / "data").rglob("*") if file.is_file() and file.name != "admin-token"]
    for secret in (PASSWORD, WRONG, token, admin):
        for form in _forms(secret):
            assert not [file for file in left if form in file.read_bytes()], "no credential stays in the data directory"


_QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("syncs", {"all": "1"}),
    ("events", {"limit": "1000"}),
    ("agents", {}),
    ("tree", {"agent": "main"}),
)


def _secret() -> str:
    """Return a Secret that the API server refuses, and which its refusal might quote."""
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: refused}}\ndata:\n  password: '{LEAKED}'\n"


@pytest.mark.parametrize("where", ["template", "project"])
def test_a_credential_in_a_url_of_the_settings_is_refused_without_quoting_it(tmp_path: Path, where: str) -> None:
    url = f"https://{USER}:{quote(PASSWORD, safe='')}@git.example.com"
    template = f'"{url}/{{project}}.git"' if where == "template" else '"https://git.example.com/{project}.git"'
    projects = f'\n  projects: {{own/project: {{url: "{url}/own/project.git"}}}}' if where == "project" else ""
    kas = Kas(tmp_path / "kas", "", settings=f"git:\n  url_template: {template}{projects}\n")

    with pytest.raises(ProcessEndedError):
        kas.start()

    text = kas.log.read_text()
    assert "credential" in text
    assert not [form for form in _forms(PASSWORD) if form in text.encode()]
