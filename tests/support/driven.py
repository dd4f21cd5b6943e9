"""One manifest project of a running agent, as a developer and an operator see it together: push, and watch the status.

Many such projects share one installation and one agent, so that a test of one project's trouble has neighbours to
whom nothing may happen.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.git_server import GitServer
from tests.support.installation import Installation
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.git_repository import GitRepository
    from tests.support.installation import Kas
    from tests.support.kube import Kube


@contextmanager
def installed(directory: Path, kubeconfig: Path, *, settings: str = "") -> Iterator[Installation]:
    """Yield a Git server and a running kas that several tests of one module share; ``settings`` is more of kas.yaml."""
    with (
        GitServer(directory / "git") as git,
        Installation(directory / "installation", git, kubeconfig, settings=settings) as running,
    ):
        yield running


@dataclass(frozen=True)
class Driven:
    """One manifest project that one agent drives into one namespace."""

    kas: Kas
    agent: str
    project: str
    repository: GitRepository
    kube: Kube
    namespace: str

    def push(self, files: Mapping[str, str | bytes]) -> str:
        """Commit and push files, tell kas as GitLab does, and return the commit."""
        commit = self.repository.push_files(files)
        self.kas.webhook(self.project)
        return commit

    def remove(self, *names: str) -> str:
        """Commit and push the removal of files, tell kas, and return the commit."""
        commit = self.repository.push_removal(*names)
        self.kas.webhook(self.project)
        return commit

    def wait(self, state: str, *, commit: str = "", reason: str = "", within: float = 60.0) -> dict[str, Any]:
        """Wait for the state of the project's newest sync, and return the sync."""
        return self.kas.wait_sync(
            self.agent, state=state, project=self.project, commit=commit, reason=reason, within=within
        )

    def sync(self) -> dict[str, Any]:
        """Return what the project stands at, a configuration in error aside."""
        found = [s for s in self.kas.syncs(self.agent) if s["project"] == self.project and s["kind"] != "configuration"]
        assert len(found) == 1, found
        return found[0]

    def config_map(self, name: str) -> dict[str, Any] | None:
        """Return a ConfigMap of the namespace as the cluster has it, None where there is none."""
        found: dict[str, Any] | None = self.kube.find(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
        return found if found and stays(found) else None

    def value(self, name: str) -> str | None:
        """Return what the cluster holds under the key that ``manifests.config_map`` writes."""
        found = self.config_map(name)
        return found["data"]["value"] if found else None

    def goes_on(self) -> None:
        """Prove that a push to this project is still applied."""
        name, value = f"goes-on-{self.repository.path.name}", secrets.token_hex(4)
        commit = self.push({f"manifests/{name}.yaml": config_map(name, value)})
        wait_until(lambda: self.value(name) == value, what=f"{self.project} goes on syncing")
        self.wait("healthy", commit=commit)


def stays(found: dict[str, Any]) -> bool:
    """Tell whether an object is not being deleted; when the garbage collector gets to it is not agentk's affair."""
    return "deletionTimestamp" not in found["metadata"]


def drive(
    installation: Installation,
    kube: Kube,
    namespace: str,
    *,
    agent: str,
    projects: tuple[str, ...],
    refs: Mapping[str, str] | None = None,
) -> dict[str, Driven]:
    """Register and start one agent that drives all these projects; return them by the last part of their path.

    Each gets a first revision, so that it exists, with one ConfigMap of the project's own name in it. ``refs`` are as
    ``config_files`` takes them.
    """
    kas = installation.kas
    config = installation.git.create(f"config/{agent}")
    config.push_files(config_files(agent, namespace, *projects, refs=refs))
    found = {
        project.rpartition("/")[2]: Driven(kas, agent, project, installation.git.create(project), kube, namespace)
        for project in projects
    }
    for name, driven in found.items():
        driven.repository.push_files({f"manifests/{name}.yaml": config_map(name)})
    installation.agent(agent, project=f"config/{agent}")
    return found
