"""What happens in the demo, step by step, and the times it took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.demo.parts import AGENT, CONFIGURATION, MANIFESTS, set_namespace, set_replicas
from scripts.demo.sightings import gone, replicas
from tests.support.waiting import NotInTimeError, wait_until

if TYPE_CHECKING:
    from scripts.demo.parts import Parts
    from scripts.demo.screen import Screen
    from tests.support.git_repository import GitRepository

DEPLOYMENT = "nginx-deployment"
SERVICE_FILE = "nginx/service.yaml"
HEALTHY_SECONDS = 180.0
"""Somebody's own cluster may have to pull the image first."""


@dataclass(frozen=True)
class Moment:
    """A line of the timeline: what was done, and its effect.

    Times are seconds until the effect was seen: from the beginning of what was done, and from its end, if it ended.
    """

    done: str
    effect: str
    from_begin: float
    from_end: float | None


class Story:
    """Tells the story on a screen; ``timeline`` fills as it goes."""

    def __init__(self, parts: Parts, screen: Screen) -> None:
        self.timeline: list[Moment] = []
        self._parts = parts
        self._screen = screen
        self._healthy = False

    def tell(self) -> GitRepository:
        """Play it all; return the work tree of the manifest project."""
        repository = self._create_projects()
        self._connect()
        self._change(repository)
        self._prune(repository)
        self._drift()
        self._look()
        return repository

    def _create_projects(self) -> GitRepository:
        parts, screen = self._parts, self._screen
        screen.step("Two Git projects: what the agent shall sync, and what shall run")
        manifests = parts.repository(MANIFESTS, "manifest-project")
        manifests.commit("Run nginx")
        screen.command("ls nginx", " ".join(sorted(file.name for file in (manifests.path / "nginx").iterdir())))
        self._push(manifests, MANIFESTS)
        configuration = parts.repository(CONFIGURATION, "configuration-project")
        set_namespace(configuration, parts.namespace)
        configuration.commit("Configure my-agent")
        file = f".gitlab/agents/{AGENT}/config.yaml"
        screen.command(f"cat {file}", (configuration.path / file).read_text())
        self._push(configuration, CONFIGURATION)
        return manifests

    def _connect(self) -> None:
        parts, screen = self._parts, self._screen
        screen.step("Register an agent and start it: an nginx Deployment with 1 replica comes to run")
        self._run("agent", "create", "--project", CONFIGURATION, "--name", AGENT)
        secret = parts.kas.cli("token", "create", "--agent", AGENT)
        parts.agent.token_file.touch(mode=0o600)
        parts.agent.token_file.write_text(secret)
        screen.command(f"kas token create --agent {AGENT} >token")
        screen.command(f"agentk run --kas-address {parts.kas.address} --token-file token")
        begin = time.monotonic()
        parts.agent.start()
        seen = parts.sightings.first(replicas(DEPLOYMENT, 1), after=begin, what=f"{DEPLOYMENT} is in the cluster")
        self._note(Moment("agentk started", "1 replica live", seen.at - begin, None))
        self._run("get", "agents")
        self._await_health()
        self._run("get", "syncs")

    def _change(self, repository: GitRepository) -> None:
        screen = self._screen
        screen.step("A push makes it 2 replicas (the demo sends the webhook, as GitLab would)")
        screen.command("sed -i 's/replicas: .*/replicas: 2/' nginx/deployment.yaml")
        set_replicas(repository, 2)
        screen.command("git commit -am 'Two replicas'")
        repository.commit("Two replicas")
        begin, end = self._push(repository, MANIFESTS)
        seen = self._parts.sightings.first(replicas(DEPLOYMENT, 2), after=begin, what=f"{DEPLOYMENT} has 2 replicas")
        self._note(Moment("git push, 2 replicas", "2 replicas live", seen.at - begin, seen.at - end))

    def _prune(self, repository: GitRepository) -> None:
        screen = self._screen
        screen.step("A push deletes the Service's file: the Service is pruned")
        screen.command(f"git rm {SERVICE_FILE} && git commit -m 'No Service'")
        repository.remove(SERVICE_FILE)
        commit = repository.commit("No Service")
        begin, end = self._push(repository, MANIFESTS)
        seen = self._parts.sightings.first(gone("nginx"), after=begin, what="the Service nginx is gone")
        self._note(Moment("git push, file deleted", "Service pruned", seen.at - begin, seen.at - end))
        if self._healthy:
            self._parts.kas.wait_sync(AGENT, state="healthy", commit=commit)

    def _drift(self) -> None:
        parts, screen = self._parts, self._screen
        screen.step("Somebody scales by hand: what Git says is put back")
        screen.command(f"kubectl -n {parts.namespace} scale deployment/{DEPLOYMENT} --replicas=5")
        begin = time.monotonic()
        parts.kube.scale(f"/apis/apps/v1/namespaces/{parts.namespace}/deployments/{DEPLOYMENT}", 5)
        end = time.monotonic()
        drifted = parts.sightings.first(replicas(DEPLOYMENT, 5), after=begin, what=f"{DEPLOYMENT} has 5 replicas")
        seen = parts.sightings.first(replicas(DEPLOYMENT, 2), after=drifted.at, what=f"{DEPLOYMENT} has 2 again")
        self._note(Moment("scaled to 5 by hand", "2 replicas again", seen.at - begin, seen.at - end))

    def _look(self) -> None:
        parts = self._parts
        self._screen.step("What a person sees")
        wait_until(
            lambda: any(event["reason"] == "DriftCorrected" for event in parts.kas.get("events", agent=AGENT)),
            what="kas has been told of the drift",
        )
        if self._healthy:
            parts.kas.wait_sync(AGENT, state="healthy", project=MANIFESTS)
        self._run("get", "syncs")
        self._run("tree", "--agent", AGENT)
        self._run("events", "--agent", AGENT)

    def show_timeline(self) -> None:
        """Write the timeline."""
        screen = self._screen
        screen.heading("Timeline: when a watch of the API server saw the effect")
        screen.note(f"{'what was done':24}{'effect':20}{'after its start':>16}{'after its end':>16}")
        for one in self.timeline:
            end = "-" if one.from_end is None else _ms(one.from_end)
            screen.note(f"{one.done:24}{one.effect:20}{_ms(one.from_begin):>16}{end:>16}")

    def _await_health(self) -> None:
        """Wait for the first sync to be healthy, unless the cluster has nobody who runs pods.

        Somebody's own cluster may be unable to pull the image, which is no failure of the demo.
        """
        parts = self._parts
        if not parts.pods:
            return
        try:
            parts.kas.wait_sync(AGENT, state="healthy", project=MANIFESTS, within=HEALTHY_SECONDS)
        except NotInTimeError:
            if parts.is_ours:
                raise
            self._screen.note(f"not healthy within {HEALTHY_SECONDS:g} s, `kas tree` below says why; going on")
        else:
            self._healthy = True
            self._screen.good("the sync is healthy: its pods are ready")

    def _push(self, repository: GitRepository, project: str) -> tuple[float, float]:
        """Push, and return when that began and when it had returned."""
        self._screen.command(f"git push origin main        # {project}")
        begin = time.monotonic()
        repository.push()
        return begin, time.monotonic()

    def _note(self, moment: Moment) -> None:
        self.timeline.append(moment)
        if moment.from_end is None:
            self._screen.good(f"{moment.effect}, {_ms(moment.from_begin)} after the start")
        else:
            self._screen.good(f"{moment.effect}, {_ms(moment.from_end)} after the command had returned")

    def _run(self, *args: str) -> None:
        """Run a command of ``kas`` and show it with what it printed."""
        self._screen.command(f"kas {' '.join(args)}", self._parts.kas.cli(*args))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
