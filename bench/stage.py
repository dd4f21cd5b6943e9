"""What the benchmarks stand on: a real control plane, a Git server, kas and agents, each a process of its own."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.cluster import open_control_plane
from tests.support.git_server import GitServer
from tests.support.installation import Installation
from tests.support.kube import Kube
from tests.support.manifests import config_files
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.controlplane.server import ControlPlane
    from tests.support.git_repository import GitRepository
    from tests.support.installation import Agent

FULL_SPEED = (
    "--enable-priority-and-fairness=false",
    "--max-mutating-requests-inflight=1000",
    "--max-requests-inflight=2000",
)
"""Without the API server's own fairness, so that what is measured is not its queueing."""

CONFIGURATION = "bench/config"

SETTINGS = "limits: {files: 100000}\n"
"""Of kas, which otherwise refuses more than 10,000 files of one project."""


@dataclass(frozen=True)
class Project:
    """One manifest project with the agent and the namespace that are its own."""

    name: str
    agent: str
    namespace: str
    repository: GitRepository


@dataclass
class Stage:
    """Everything that runs. ``directory`` is for files that go when it all ends."""

    directory: Path
    control_plane: ControlPlane
    kube: Kube
    git: GitServer
    installation: Installation

    def namespace(self, name: str) -> str:
        """Create a namespace and wait until Kubernetes has put its own things there."""
        self.kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
        own = f"/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt"
        if self.control_plane.runs_controllers:
            wait_until(lambda: self.kube.find(own), what=f"{name} is ready")
        return name

    def projects(self, count: int, stem: str = "round") -> list[Project]:
        """Create empty manifest projects, each for an agent of its own."""
        names = [f"{stem}-{number}" for number in range(count)]
        for name in names:
            self.configuration.write(config_files(name, name, f"bench/{name}"))
        self.configure()
        return [
            Project(f"bench/{name}", name, self.namespace(name), self.git.create(f"bench/{name}")) for name in names
        ]

    def shared_agent(self, agent: str, names: Sequence[str], namespace: str = "") -> list[Project]:
        """Create empty manifest projects for one agent, each with a namespace of its own unless one is given.

        ``configure`` makes them known.
        """
        entries = "".join(
            f"  - id: bench/{name}\n    default_namespace: {namespace or name}\n"
            "    paths: [{glob: '/manifests/**/*.yaml'}]\n"
            for name in names
        )
        self.configuration.write({f".gitlab/agents/{agent}/config.yaml": f"gitops:\n  manifest_projects:\n{entries}"})
        return [
            Project(f"bench/{name}", agent, namespace or self.namespace(name), self.git.create(f"bench/{name}"))
            for name in names
        ]

    @cached_property
    def configuration(self) -> GitRepository:
        """The configuration project of all agents."""
        return self.git.create(CONFIGURATION)

    def configure(self) -> None:
        """Push the configuration as it has been written, and tell kas."""
        self.configuration.commit()
        self.configuration.push()
        self.installation.kas.webhook(CONFIGURATION)

    def agent(self, project: Project) -> Agent:
        """Start the agent of a project; return when it knows its configuration."""
        agent = self.installation.agent(project.agent, project=CONFIGURATION)
        agent.process.wait_until(lambda: "Configuration in force" in agent.log.read_text(), what="it is configured")
        return agent

    def push(self, project: Project) -> str:
        """Push what was committed and tell kas, as GitLab does; return the commit."""
        project.repository.push()
        self.installation.kas.webhook(project.name)
        return project.repository.head()


@contextmanager
def open_stage(*flags: str, settings: str = SETTINGS) -> Iterator[Stage]:
    """Start everything but agents; ``flags`` are more of the API server's, ``settings`` those of kas."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentk-bench-")))
        control_plane = stack.enter_context(open_control_plane(*flags))
        kube = Kube(control_plane.kubeconfig)
        stack.callback(kube.close)
        git = stack.enter_context(GitServer(directory / "git", keeps_connections=True))
        # As many seconds between polls as a user has: the webhook is what tells kas.
        installation = stack.enter_context(
            Installation(directory, git, control_plane.kubeconfig, poll_interval="20s", settings=settings)
        )
        yield Stage(directory, control_plane, kube, git, installation)


def manifest(number: int, value: str) -> str:
    """Return one small ConfigMap."""
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: bench-{number:05}
  labels:
    app: bench
data:
  value: "{value}"
  other: some text that stays
"""


def manifests(count: int, value: str) -> dict[str, str]:
    """Return files, a hundred in each directory; another value makes others, so that no cache knows them."""
    return {f"manifests/team-{n // 100:02}/cm-{n:05}.yaml": manifest(n, value) for n in range(count)}


def cpu_seconds(pid: int) -> float:
    """Return what a process and its ended children have computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
