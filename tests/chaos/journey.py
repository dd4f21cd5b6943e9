"""Going back and forth between two revisions, struck at a chosen step, and comparing where that ends.

The reference is the end of a journey on which nothing happened, on the same cluster.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.chaos.revisions import files
from tests.chaos.state import State, look
from tests.support.api_door import ApiDoor
from tests.support.driven import Driven
from tests.support.git_server import GitServer
from tests.support.installation import Agent, Installation
from tests.support.kube import Kube
from tests.support.manifests import config_files
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.api_door import Moment

WITHIN = 120.0
"""Seconds; an API server that has just been started on a busy machine takes half a minute to serve a new kind."""


class Journey:
    """One project of one agent that goes from revision to revision through a door."""

    def __init__(self, driven: Driven, agent: Agent, door: ApiDoor) -> None:
        self.driven = driven
        self.agent = agent
        self.door = door
        self.side = "b"
        self.ends: dict[str, State] = {}
        self.steps: dict[str, int] = {}

    def look(self) -> State:
        """Look at what there is."""
        return look(self.driven.kube, self.driven.namespace)

    def undisturbed(self) -> None:
        """Go there and back once, and remember how it ends and how many writes it takes."""
        self.arrive(self.leave())
        for _ in range(2):
            self.door.count()
            commit = self.leave()
            self.arrive(commit)
            self.ends[self.side], self.steps[self.side] = self.look(), self.door.writes
            self.check()

    def leave(self) -> str:
        """Push the other revision, and return its commit."""
        namespace = self.driven.namespace
        before, self.side = files(self.side, namespace), "a" if self.side == "b" else "b"
        after = files(self.side, namespace)
        repository = self.driven.repository
        repository.remove(*(name for name in before.keys() - after.keys() if (repository.path / name).exists()))
        return self.driven.push(after)

    def arrive(self, commit: str) -> None:
        """Wait until the revision is healthy."""
        self.driven.wait("healthy", commit=commit, within=WITHIN)

    def struck(
        self, step: int, moment: Moment, act: Callable[[], None], *, release: threading.Event | None = None
    ) -> tuple[str, bool]:
        """Leave, and come back when the strike is done: the commit, and whether it came to that."""
        strike = self.door.arm(step, moment, act, release=release)
        commit = self.leave()

        def over() -> bool:
            synced = self.driven.sync()
            return strike.done.is_set() or (synced["commit"], synced["state"]) == (commit, "healthy")

        wait_until(over, what=f"write {step} of {self.door.writes}, or the end", within=WITHIN)
        return commit, strike.done.is_set()

    def is_there(self, *, before: State) -> bool:
        """Tell whether it is as at the end of an undisturbed journey."""
        try:
            self.check(before=before)
        except AssertionError:
            return False
        return True

    def check(self, *, before: State | None = None) -> None:
        """Compare where it ended with the reference."""
        state, end = self.look(), self.ends[self.side]
        assert state.objects == end.objects
        assert state.applied == end.applied
        assert {key: value[2] for key, value in state.entries.items()} == state.uids
        if before is not None:
            assert state.kept == before.kept, "something that stays was made anew"


@contextmanager
def journey(
    directory: Path, plane: ControlPlane, *, namespace: str = "chaos", lease_seconds: int = 0
) -> Iterator[Journey]:
    """Yield a project at its first revision, with the references taken; its agent has the usual lease, or this one."""
    kube = Kube(plane.kubeconfig)
    try:
        if kube.find(f"/api/v1/namespaces/{namespace}") is None:
            kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        with (
            ApiDoor(plane, directory / "door") as door,
            GitServer(directory / "git") as git,
            Installation(directory / "installation", git, door.kubeconfig) as here,
        ):
            repository = git.create("own/chaos")
            driven = Driven(here.kas, "chaos", "own/chaos", repository, kube, namespace)
            more = "    prune_confirmation: never\n    prune_propagation_policy: background\n"
            repository.push_files(config_files("chaos", namespace, more=more))
            agent = here.agent("chaos", project="own/chaos", start=False)
            agent.start(*(("--lease-seconds", str(lease_seconds)) if lease_seconds else ()))
            found = Journey(driven, agent, door)
            found.undisturbed()
            yield found
    finally:
        kube.close()
