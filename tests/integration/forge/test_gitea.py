from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.git_repository import GitCommandError, git
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.forge.client import Gitea, Login

pytestmark = pytest.mark.forge


def clone(gitea: Gitea, project: str, login: Login | None, to: Path) -> str:
    url = gitea.template.format(project=project)
    if login is not None:
        url = url.replace("://", f"://{login.username}:{quote(login.password, safe='')}@")
    git("clone", "--quiet", url, str(to), cwd=to.parent)
    return git("rev-parse", "HEAD", cwd=to)


def test_a_private_project_is_cloned_by_whoever_may_and_by_nobody_else(gitea: Gitea, tmp_path: Path) -> None:
    commit = gitea.create_project("clones/private").push_files({"a.yaml": "a: 1\n"})
    gitea.create_project("clones/other").push_files({"b.yaml": "b: 1\n"})
    deploy_token = gitea.deploy_token("clones/private")

    assert clone(gitea, "clones/private", gitea.admin, tmp_path / "admin") == commit
    assert clone(gitea, "clones/private", deploy_token, tmp_path / "robot") == commit
    with pytest.raises(GitCommandError, match="could not read Username"):
        clone(gitea, "clones/private", None, tmp_path / "anonymous")
    stranger = gitea.create_user("stranger")
    for project, login in (("clones/private", stranger), ("clones/other", deploy_token)):
        with pytest.raises(GitCommandError, match=r"not found|Authentication failed|unable to access"):
            clone(gitea, project, login, tmp_path / "refused")

    gitea.revoke_access("clones/private", deploy_token)
    with pytest.raises(GitCommandError):
        clone(gitea, "clones/private", deploy_token, tmp_path / "revoked")


def test_a_deploy_token_may_not_push(gitea: Gitea, tmp_path: Path) -> None:
    gitea.create_project("pushes/private").push_files({"a.yaml": "a: 1\n"})
    clone(gitea, "pushes/private", gitea.deploy_token("pushes/private"), tmp_path / "robot")
    git("commit", "--allow-empty", "--message", "mine", cwd=tmp_path / "robot")
    with pytest.raises(GitCommandError, match="push failed"):
        git("push", "origin", "HEAD", cwd=tmp_path / "robot")


def test_a_public_project_needs_no_login_and_a_deleted_one_is_gone(gitea: Gitea, tmp_path: Path) -> None:
    commit = gitea.create_project("open/public", private=False).push_files({"a": "1"})
    assert clone(gitea, "open/public", None, tmp_path / "before") == commit
    gitea.delete_project("open/public")
    with pytest.raises(GitCommandError):
        clone(gitea, "open/public", gitea.admin, tmp_path / "after")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str | None, bytes]]]]:
    received: list[tuple[str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["X-Gitea-Event"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


def test_a_push_calls_the_webhook(gitea: Gitea, receiver: tuple[str, list[tuple[str | None, bytes]]]) -> None:
    url, received = receiver
    repository = gitea.create_project("hooks/project")
    gitea.add_webhook("hooks/project", url, secret="known")
    commit = repository.push_files({"a": "1"})
    wait_until(lambda: received, what="the webhook has been called")
    event, body = received[0]
    assert event == "push"
    assert json.loads(body)["after"] == commit
