"""What tests ask of the forge: users, projects, tokens and webhooks, by Gitea's REST API."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import urllib3

from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REQUEST_SECONDS = 30.0


class ForgeError(AssertionError):
    """The forge refused a request of a test."""


@dataclass(frozen=True)
class Login:
    """What Git over HTTP needs; the password may be an access token."""

    username: str
    password: str = field(repr=False)


class Gitea:
    """A running Gitea, seen by its administrator.

    Attributes:
        url: base URL, without a slash at its end.
        admin: the administrator, with an access token for a password.
    """

    def __init__(self, url: str, admin: Login, work: Path) -> None:
        self.url = url
        self.admin = admin
        self._work = work
        self._http = urllib3.PoolManager()

    @property
    def template(self) -> str:
        """The URL template for kas: ``http://127.0.0.1:<port>/{project}.git``."""
        return f"{self.url}/{{project}}.git"

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def create_user(self, name: str) -> Login:
        """Create a person without any rights on existing projects, and return a login by password."""
        login = Login(name, secrets.token_urlsafe(16))
        body = {
            "username": name,
            "email": f"{name}@example.com",
            "password": login.password,
            "must_change_password": False,
        }
        self.request("POST", "/admin/users", body)
        return login

    def create_project(self, project: str, *, private: bool = True) -> GitRepository:
        """Create ``group/name``, and the group if need be; return an empty work tree with the administrator's login."""
        group, _, name = project.partition("/")
        if self.request("GET", f"/orgs/{group}", may_fail=True) is None:
            self.request("POST", "/orgs", {"username": group, "visibility": "private" if private else "public"})
        self.request("POST", f"/orgs/{group}/repos", {"name": name, "private": private, "default_branch": "main"})
        work = self._work / f"{group}-{name}-{secrets.token_hex(3)}"
        url = f"{self.url}/{project}.git"
        return GitRepository(work, url, username=self.admin.username, password=self.admin.password)

    def delete_project(self, project: str) -> None:
        """Delete a project for good."""
        self.request("DELETE", f"/repos/{project}")

    def access_token(self, user: Login, *, scopes: Sequence[str] = ("read:repository",)) -> Login:
        """Create an access token of a user (made by ``create_user``) and return it as a login."""
        body = {"name": secrets.token_hex(6), "scopes": list(scopes)}
        answer = self.request("POST", f"/users/{user.username}/tokens", body, login=user)
        return Login(user.username, answer["sha1"])

    def deploy_token(self, project: str) -> Login:
        """Return a login that may read one project and nothing else.

        Gitea has no deploy tokens of GitLab's kind, so this is a user of its own, with read access to that project and
        a token that may only read.
        """
        robot = self.create_user(f"deploy-{secrets.token_hex(4)}")
        self.request("PUT", f"/repos/{project}/collaborators/{robot.username}", {"permission": "read"})
        return self.access_token(robot)

    def revoke_access(self, project: str, user: Login) -> None:
        """Take away what ``deploy_token`` gave."""
        self.request("DELETE", f"/repos/{project}/collaborators/{user.username}")

    def add_webhook(self, project: str, url: str, *, secret: str = "", events: Sequence[str] = ("push",)) -> int:
        """Have Gitea POST to a loopback URL on each event; return the webhook's id."""
        body = {
            "type": "gitea",
            "active": True,
            "events": list(events),
            "config": {"url": url, "content_type": "json", "secret": secret},
        }
        return int(self.request("POST", f"/repos/{project}/hooks", body)["id"])

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        login: Login | None = None,
        may_fail: bool = False,
    ) -> Any:  # noqa: ANN401 - JSON
        """Call any other part of the API below ``/api/v1`` and return its JSON, None for an empty answer.

        Args:
            login: a user's password login; the administrator's token otherwise.
            may_fail: return None for a refusal instead of raising.

        Raises:
            ForgeError: the forge refused.
        """
        if login is None:
            headers = {"Authorization": f"token {self.admin.password}"}
        else:
            headers = urllib3.make_headers(basic_auth=f"{login.username}:{login.password}")
        url = f"{self.url}/api/v1{path}"
        response = self._http.request(method, url, json=body, headers=headers, timeout=REQUEST_SECONDS, retries=False)
        if response.status >= 300:
            if may_fail:
                return None
            raise ForgeError(f"{method} {path}: {response.status} {response.data.decode(errors='replace')}")
        return response.json() if response.data else None
