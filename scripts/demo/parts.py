"""What the demo's story happens on: a cluster, a Git server, kas, agentk; started in this order, ended in reverse."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.demo.forge import Webhooks
from scripts.demo.sightings import Sightings
from tests.controlplane.binaries import find_binaries
from tests.controlplane.cluster import ExistingCluster, existing_kubeconfig, open_cluster
from tests.controlplane.ready_pods import ReadyPodsUnavailableError
from tests.support.git_server import GitServer
from tests.support.installation import Agent, Installation
from tests.support.kube import Kube
from tests.support.paths import ROOT
from tests.support.waiting import NotInTimeError, wait_until

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from scripts.demo.screen import Screen
    from tests.controlplane.cluster import Cluster
    from tests.support.git_repository import GitRepository
    from tests.support.installation import Kas

AGENT = "my-agent"
CONFIGURATION = "group/config"
MANIFESTS = "group/manifests"
EXAMPLES = ROOT / "manifests" / "examples"
POLL_INTERVAL = "20s"
"""The default of kas, so that what the demo shows to be fast is the webhook."""

NAMESPACE_GONE_SECONDS = 60.0


@dataclass(frozen=True)
class Parts:
    """Everything that runs, ready for the story.

    ``pods`` tells whether somebody runs pods: a Deployment becomes healthy only then.
    """

    directory: Path
    cluster: Cluster
    version: str
    kube: Kube
    namespace: str
    pods: bool
    git: GitServer
    webhooks: Webhooks
    kas: Kas
    agent: Agent
    sightings: Sightings

    @property
    def is_ours(self) -> bool:
        """Whether the cluster was started for the demo."""
        return not isinstance(self.cluster, ExistingCluster)

    def repository(self, project: str, example: str) -> GitRepository:
        """Create a Git project with the files of an example in its work tree, not yet committed."""
        repository = self.git.create(project)
        self.webhooks.announce(self.git, project)
        shutil.copytree(EXAMPLES / example, repository.path, dirs_exist_ok=True)
        # For the person who goes on with it: no configuration of their own is needed.
        for key, value in {"user.name": "Dev", "user.email": "dev@example.com", "push.default": "current"}.items():
            repository.git("config", key, value)
        return repository

    def write_environment(self) -> Path:
        """Write the file that a shell sources to play with what runs; return it."""
        file = self.directory / "env"
        python = sys.executable
        lines = [f"export {key}='{value}'" for key, value in self.kas.environment.items()]
        lines += [
            f"export KUBECONFIG='{self.cluster.kubeconfig}'",
            f"""kas() {{ PYTHONPATH='{ROOT}' '{python}' -m kas "$@"; }}""",
        ]
        file.write_text("\n".join(lines) + "\n")
        return file


def start(directory: Path, screen: Screen, stack: ExitStack) -> Parts:
    """Start everything but agentk, which the story starts; ``stack`` ends it.

    Args:
        directory: for data and logs; what is in it is replaced.
        screen: told of what has started.
        stack: entered with whatever must end.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    if existing_kubeconfig() is None:
        find_binaries()  # builds where nothing is cached yet, which is no part of what is timed
    began = time.monotonic()
    cluster = stack.enter_context(open_cluster())
    kube = Kube(cluster.kubeconfig)
    stack.callback(kube.close)
    pods = _run_pods(cluster, kube, screen)
    version = str(kube.get("/version")["gitVersion"])
    whose = "yours" if isinstance(cluster, ExistingCluster) else f"started in {time.monotonic() - began:.1f} s"
    screen.good(f"Kubernetes {version} at {cluster.url}, {whose}")
    namespace = _own_namespace(kube, cluster, screen, stack)
    git = stack.enter_context(GitServer(directory / "git"))
    screen.good(f"Git over HTTP at {git.template}")
    screen.command("kas serve --config kas.yaml")
    installation = stack.enter_context(
        Installation(directory, git, cluster.kubeconfig, poll_interval=POLL_INTERVAL),
    )
    kas = installation.kas
    screen.good(f"kas, SQLite inside; agents at {kas.address}, API at {kas.api}")
    webhooks = stack.enter_context(Webhooks(directory, kas.webhook))
    agent = Agent(
        kas,
        AGENT,
        project=CONFIGURATION,
        kubeconfig=cluster.kubeconfig,
        directory=directory / "agents",
        register=False,
    )
    stack.callback(agent.stop)
    sightings = Sightings(cluster.kubeconfig, namespace)
    return Parts(directory, cluster, version, kube, namespace, pods, git, webhooks, kas, agent, sightings)


def _run_pods(cluster: Cluster, kube: Kube, screen: Screen) -> bool:
    try:
        cluster.start_ready_pods()
    except ReadyPodsUnavailableError as error:
        screen.note(f"no pods will run: {error}")
        return False
    if not kube.get("/api/v1/nodes", limit="1")["items"]:
        screen.note("no pods will run: the cluster has no node")
        return False
    return True


def _own_namespace(kube: Kube, cluster: Cluster, screen: Screen, stack: ExitStack) -> str:
    """Create a namespace for the demo alone; somebody's own cluster gets rid of it at the end."""
    existing = isinstance(cluster, ExistingCluster)
    name = f"agentk-demo-{secrets.token_hex(3)}" if existing else "agentk-demo"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    if existing:
        stack.callback(_remove_namespace, kube, name, screen)
        screen.good(f"namespace {name}, removed at the end")
    return name


def _remove_namespace(kube: Kube, name: str, screen: Screen) -> None:
    path = f"/api/v1/namespaces/{name}"
    kube.delete(path)
    try:
        wait_until(lambda: kube.find(path) is None, what=f"namespace {name} is gone", within=NAMESPACE_GONE_SECONDS)
    except NotInTimeError:
        screen.note(f"namespace {name} is still terminating; `kubectl get namespace {name}` tells why")
    else:
        screen.note(f"namespace {name} has been removed")


def set_namespace(repository: GitRepository, namespace: str) -> None:
    """Make the example's configuration put everything into the demo's own namespace."""
    file = repository.path / ".gitlab" / "agents" / AGENT / "config.yaml"
    text = file.read_text()
    changed = text.replace("default_namespace: default ", f"default_namespace: {namespace} ")
    if changed == text:
        raise ValueError(f"{file} has no line with default_namespace: default")
    file.write_text(changed)


def set_replicas(repository: GitRepository, number: int) -> None:
    """Change the number of replicas in the example's Deployment, as an editor would."""
    file = repository.path / "nginx" / "deployment.yaml"
    lines = [
        f"  replicas: {number}" if line.startswith("  replicas:") else line for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")
