"""A real forge in front of the whole path: private projects, access tokens that end, and GitLab's webhooks."""

from __future__ import annotations

import json
import secrets
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import WEBHOOK_SECRET, Agent, Kas
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.forge.client import Gitea, Login
    from tests.support.git_repository import GitRepository
    from tests.support.kube import Kube

pytestmark = [pytest.mark.cluster, pytest.mark.forge]


@dataclass(frozen=True)
class Forged:
    """A kas that reads two private projects of a forge with a robot's token, and its agent."""

    kas: Kas
    agent: Agent
    robot: Login
    group: str
    configuration: GitRepository
    manifests: GitRepository
    token_file: Path


@contextmanager
def forged(
    gitea: Gitea, control_plane: Cluster, directory: Path, configuration: dict[str, str], *, kind: str, poll: str
) -> Iterator[Forged]:
    """Yield them; ``GROUP`` in the configuration stands for the group of the two projects, config and manifests."""
    group = f"team-{secrets.token_hex(3)}"
    config, manifests = (gitea.create_project(f"{group}/{name}") for name in ("config", "manifests"))
    robot = gitea.create_user(f"robot-{secrets.token_hex(3)}")
    for project in ("config", "manifests"):
        gitea.request("PUT", f"/repos/{group}/{project}/collaborators/{robot.username}", {"permission": "read"})
    token_file = directory / "git-token"
    token_file.write_text(gitea.access_token(robot).password)
    config.push_files({path: text.replace("GROUP", group) for path, text in configuration.items()})
    username = f", username: {robot.username}" if kind == "basic" else ""
    settings = f"""\
git:
  url_template: "{gitea.template}"
  allowed_schemes: [https, http]
  poll_interval: {poll}
  credential: {{kind: {kind}{username}, token_file: {token_file}}}
"""
    kas = Kas(directory / "kas", gitea.template, settings=settings).start()
    try:
        agent = Agent(
            kas,
            "forged",
            project=f"{group}/config",
            kubeconfig=control_plane.kubeconfig,
            directory=directory / "agents",
        )
        try:
            yield Forged(kas, agent.start(), robot, group, config, manifests, token_file)
        finally:
            agent.stop()
    finally:
        kas.stop()


def revoke_all(gitea: Gitea, robot: Login) -> None:
    for token in gitea.request("GET", f"/users/{robot.username}/tokens", login=robot):
        gitea.request("DELETE", f"/users/{robot.username}/tokens/{token['id']}", login=robot)


@pytest.mark.parametrize("kind", ["access_token", "basic"])
def test_a_revoked_token_is_named_and_a_new_one_in_its_file_goes_on(
    gitea: Gitea, control_plane: Cluster, kube: Kube, namespace: str, tmp_path: Path, *, kind: str
) -> None:
    configuration = config_files("forged", namespace, "GROUP/manifests")
    name = f"from-forge-{kind.replace('_', '-')}"
    with forged(gitea, control_plane, tmp_path, configuration, kind=kind, poll="1s") as world:
        project = f"{world.group}/manifests"
        first = world.manifests.push_files({"manifests/a.yaml": config_map(name, "1")})
        world.kas.wait_sync("forged", state="healthy", project=project, commit=first)

        secret = world.token_file.read_text()
        revoke_all(gitea, world.robot)
        denied = world.kas.wait_sync("forged", state="failed", project=project, reason="AccessDenied")
        assert "give the project a credential that may read the repository" in denied["message"]
        world.kas.wait_sync("forged", state="failed", project=f"{world.group}/config", reason="AccessDenied")
        # What has been synced stays, and is kept.
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        kube.patch(path, {"data": {"value": "drifted"}})
        wait_until(lambda: kube.get(path)["data"]["value"] == "1", what="drift is put back all the same")

        second = world.manifests.push_files({"manifests/a.yaml": config_map(name, "2")})
        world.token_file.write_text(gitea.access_token(world.robot).password)
        world.kas.wait_sync("forged", state="healthy", project=project, commit=second)
        assert kube.get(path)["data"]["value"] == "2"
        wait_until(lambda: len(world.kas.syncs("forged")) == 1, what="the configuration is no longer in error")
        said = world.kas.log.read_text() + world.agent.log.read_text() + json.dumps(world.kas.get("events"))
        assert secret not in said


def gitlab_event(kind: str, project: str, ref: str, after: str) -> dict[str, Any]:
    """Return an event with the fields that GitLab documents for push and tag push webhooks."""
    group, _, name = project.partition("/")
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": "0" * 40,
        "after": after,
        "ref": ref,
        "ref_protected": True,
        "checkout_sha": after,
        "message": None,
        "user_id": 4,
        "user_name": "John Smith",
        "user_username": "jsmith",
        "user_email": "",
        "user_avatar": "https://gitlab.example.com/avatar.png",
        "project_id": 15,
        "project": {
            "id": 15,
            "name": name,
            "description": "",
            "web_url": f"https://gitlab.example.com/{project}",
            "avatar_url": None,
            "git_ssh_url": f"git@gitlab.example.com:{project}.git",
            "git_http_url": f"https://gitlab.example.com/{project}.git",
            "namespace": group,
            "visibility_level": 0,
            "path_with_namespace": project,
            "default_branch": "main",
        },
        "commits": [{"id": after, "message": "Change", "title": "Change", "added": [], "modified": [], "removed": []}],
        "total_commits_count": 1,
        "push_options": {},
    }


def post(kas: Kas, event: dict[str, Any]) -> None:
    hook = {"push": "Push Hook", "tag_push": "Tag Push Hook"}[event["object_kind"]]
    headers = {"Content-Type": "application/json", "X-Gitlab-Event": hook, "X-Gitlab-Token": WEBHOOK_SECRET}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{kas.api}/webhooks/gitlab", data=json.dumps(event).encode(), headers=headers
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.status == 202


def test_webhooks_of_gitlab_bring_branches_and_tags_without_polling(
    gitea: Gitea, control_plane: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    configuration = config_files("forged", namespace, "GROUP/manifests", more="    ref: {tag: stable}\n")
    value = f"/api/v1/namespaces/{namespace}/configmaps/hooked"
    with forged(gitea, control_plane, tmp_path, configuration, kind="access_token", poll="1h") as world:
        project = f"{world.group}/manifests"
        # Nothing has been pushed yet: people see what is missing, before anything is polled again.
        world.kas.wait_sync("forged", state="failed", project=project, reason="RefNotFound")
        first = world.manifests.push_files({"manifests/a.yaml": config_map("hooked", "1")})
        world.manifests.tag("stable", annotated=True)
        post(world.kas, gitlab_event("tag_push", project, "refs/tags/stable", first))
        world.kas.wait_sync("forged", state="healthy", project=project, commit=first)
        assert kube.get(value)["data"]["value"] == "1"

        second = world.manifests.push_files({"manifests/a.yaml": config_map("hooked", "2")})
        post(world.kas, gitlab_event("push", project, "refs/heads/main", second))
        world.manifests.tag("stable")
        post(world.kas, gitlab_event("tag_push", project, "refs/tags/stable", second))
        sync = world.kas.wait_sync("forged", state="healthy", project=project, commit=second)
        assert sync["ref"] == "tag stable"
        assert kube.get(value)["data"]["value"] == "2"

        config = config_files("forged", namespace, project, more="    ref: {branch: main}\n")
        third = world.manifests.push_files({"manifests/a.yaml": config_map("hooked", "3")})
        pushed = world.configuration.push_files(config)
        post(world.kas, gitlab_event("push", f"{world.group}/config", "refs/heads/main", pushed))
        world.kas.wait_sync("forged", state="healthy", project=project, commit=third)
        assert kube.get(value)["data"]["value"] == "3"
