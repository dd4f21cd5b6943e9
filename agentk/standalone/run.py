"""Runs the engine once on a set of manifests, for ``agentk apply``.

The same parts as in the agent: ``ProjectSync`` decides and acts, an inventory in the cluster remembers what was
applied, the observer tells how the objects fare. Only the source of the manifests and who hears of the results differ.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from agentk.apply.execute import Executor
from agentk.apply.inventory import InventoryError
from agentk.apply.model import DryRun, Snapshot
from agentk.apply.rules.prune import ALREADY_GONE
from agentk.gitops.autoscalers import Autoscalers
from agentk.gitops.observer import Observer
from agentk.gitops.sync import Cluster, ProjectSync
from agentk.health.rules import needs_status
from agentk.health.summary import HealthSummary, Phase
from agentk.kube.client import KubeClient
from agentk.kube.discovery import Discovery
from agentk.kube.errors import KubeError
from agentk.kube.inventory_key import InventoryKey
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.model import Kind, ProjectSettings
    from agentk.gitops.sync_result import SyncResult
    from agentk.standalone.showing import Show
    from agentlink.refs import ObjectRef

OWNER: Final = 0
"""Stands where an agent's id would, in the label by which the objects are watched. No agent has it."""

_CONFIRM: Final = frozenset({"PruneNeedsConfirmation"})
_LEFT: Final = frozenset({"PruneDisabled"})
_UNSAID: Final = frozenset({*_LEFT, ALREADY_GONE})
"""What became of objects that is nothing to anybody who applies manifests."""


def inventory_id(name: str, namespace: str) -> str:
    """Return what an inventory of this name is called in the cluster; in each namespace it is another one."""
    return f"cli-{name}-{blake2b(namespace.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Options:
    """What to do, and where. ``wait``: seconds to wait for every object to be healthy, None not to."""

    settings: ProjectSettings
    kubeconfig: str | None = None
    context: str | None = None
    wait: float | None = None


class _Followed:
    """Learns from the observer that something happened to the objects."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.lost: KubeError | None = None

    def observed(self, ref: ObjectRef) -> None:
        """Look again; at which object does not matter, there are few that are not healthy."""
        del ref
        self.news.set()

    def resighted(self, kind: Kind) -> None:
        """Some kind cannot be watched; its objects then never get healthy, and the time limit says so."""

    def unreachable(self, error: KubeError) -> None:
        """Give up."""
        self.lost = error
        self.news.set()


async def apply(options: Options, files: Mapping[str, tuple[bytes, ...]], show: Show) -> bool:
    """Make the cluster what the files say; return whether all of it went well.

    Raises:
        KubeError: There is no way to the cluster at all.
    """
    settings = options.settings
    left = 0
    snapshot = Snapshot(settings.project_id, "", "", b"", files)
    async with (
        await KubeClient.connect(kubeconfig=options.kubeconfig, context=options.context) as kube,
        asyncio.TaskGroup() as tasks,
    ):
        observer = Observer(kube, OWNER, tasks)
        followed = _Followed()
        observer.register(settings.inventory_id, followed)
        objects, discovery = Objects(kube), Discovery(kube)
        scalers = Autoscalers(kube, discovery, tasks)
        # Where the inventory is: who may not read Secrets there cannot forge what it remembers.
        key = InventoryKey(kube, settings.inventory_home)
        cluster = Cluster(OWNER, discovery, objects, observer, Executor(objects, discovery), key, autoscalers=scalers)
        store = InventoryStore(kube, settings.inventory_id, namespace=settings.inventory_home, key=key)
        sync = ProjectSync(cluster, settings, store)
        try:
            result = await sync.run(
                snapshot, lambda outcome: None if outcome.reason in _UNSAID else show.outcome(outcome)
            )
            left = sum(outcome.reason in _LEFT for outcome in result.outcomes.said)
            problem = _problem_of(result)
            if not problem and options.wait is not None and settings.dry_run is DryRun.NONE:
                problem = await _wait(sync, observer, followed, show, options.wait)
        except (KubeError, InventoryError) as error:
            problem = str(error)
        finally:
            observer.stop()
            scalers.stop()
    hint = f"{left} of the inventory's objects are no longer in the manifests; --prune deletes them" if left else ""
    show.end(problem, hint)
    return not problem


def _problem_of(result: SyncResult) -> str:
    if result.blocked is not None:
        return f"nothing was applied: {result.blocked.ref} {result.blocked.message}"
    if any(outcome.reason in _CONFIRM for outcome in result.outcomes.said):
        return "objects wait for their prune to be confirmed; look at them, and run again with --yes to delete them"
    failed = len(result.failed)
    return f"{failed} objects failed" if failed > 1 else "one object failed" if failed else ""


async def _wait(sync: ProjectSync, observer: Observer, followed: _Followed, show: Show, seconds: float) -> str:
    """Wait until every object is healthy; return why not, empty when they are."""
    health = HealthSummary()
    refs = [one.ref for one in sync.desired.values() if needs_status(one.kind)]
    health.expect(refs)
    try:
        async with asyncio.timeout(seconds):
            while True:
                followed.news.clear()
                for ref in refs:
                    health.update(ref, observer.health(ref))
                summary = health.summary
                show.waiting(summary.message)
                if summary.phase is not Phase.PROGRESSING:
                    return "" if summary.phase is Phase.HEALTHY else f"not healthy: {summary.message}"
                if followed.lost is not None:
                    return f"the API server went away: {followed.lost.message}"
                await followed.news.wait()
    except TimeoutError:
        return f"not healthy after {seconds:g} s: {health.summary.message}"
