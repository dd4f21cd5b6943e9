"""Projects synced as an agent does it: real watches, inventory and waits on a real API server, without kas.

``Gate`` is a custom resource that is healthy when a test says so, so that waiting can be tried without timing.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from agentk.apply.execute import Executor
from agentk.apply.model import Outcome, ProjectSettings, Propagation, PruneConfirmation, Result, Snapshot
from agentk.gitops.observer import Observer
from agentk.gitops.sync import Cluster, ProjectSync
from agentk.kube.client import KubeClient
from agentk.kube.discovery import Discovery
from agentk.kube.inventory_key import InventoryKey
from agentk.kube.inventory_store import InventoryStore
from agentk.kube.objects import Objects
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentk.gitops.sync_result import SyncResult
    from agentk.health.model import Status
    from tests.support.kube import Kube

Manifest = dict[str, Any]

DEPENDS_ON = "config.kubernetes.io/depends-on"
MUTATION = "config.kubernetes.io/apply-time-mutation"
WAVE = "agentk.io/wave"


class Synced:
    """One project of one agent, and what its last sync said."""

    def __init__(self, kube: KubeClient, cluster: Cluster, number: int, namespace: str) -> None:
        self._cluster = cluster
        inventory_id = f"{cluster.agent_id}-{number}"
        settings = ProjectSettings(
            number,
            f"group/project-{number}",
            inventory_id,
            namespace,
            propagation=Propagation.BACKGROUND,
            prune_confirmation=PruneConfirmation.NEVER,
            reconcile_timeout=60.0,
            prune_timeout=60.0,
        )
        self.namespace = namespace
        self.store = InventoryStore(kube, inventory_id, namespace=namespace, key=cluster.inventory_key)
        self.sync = ProjectSync(cluster, settings, self.store)
        self.outcomes: dict[str, Outcome] = {}
        self.order: list[str] = []

    @property
    def label(self) -> str:
        """What selects the agent's objects."""
        return f"agentk.io/agent={self._cluster.agent_id}"

    async def served_no_more(self, group: str, kind: str) -> None:
        """Come back when the cluster does not serve a kind any more, and the agent knows."""

        async def is_gone() -> bool:
            await self._cluster.discovery.refresh()
            return self._cluster.discovery.find(group, kind, "") is None

        await eventually(is_gone, what=f"{kind} is not served any more")

    def configure(self, **changes: Any) -> None:  # noqa: ANN401 - whatever the settings have
        """Change the project's settings."""
        self.sync.settings = replace(self.sync.settings, **changes)

    async def push(self, *manifests: Manifest) -> SyncResult:
        """Sync a revision that holds these objects."""
        self.outcomes, self.order = {}, []
        files = {f"{i:03}.yaml": (orjson.dumps(one),) for i, one in enumerate(manifests)}
        digest = secrets.token_bytes(4)
        return await self.sync.run(Snapshot(1, "c0ffee", digest.hex(), digest, files), self._note)

    def _note(self, outcome: Outcome) -> None:
        assert outcome.ref.name not in self.outcomes, outcome
        self.outcomes[outcome.ref.name] = outcome
        self.order.append(outcome.ref.name)

    @property
    def results(self) -> dict[str, str]:
        """What became of each object, by name."""
        return {name: outcome.result.value for name, outcome in self.outcomes.items()}

    @property
    def done(self) -> list[str]:
        """The objects that were written or deleted, in that order."""
        acted = {Result.CREATED, Result.CONFIGURED, Result.PRUNED}
        return [name for name in self.order if self.outcomes[name].result in acted]

    def reason(self, name: str) -> str:
        """Why an object fared as it did."""
        return self.outcomes[name].reason

    def message(self, name: str) -> str:
        """The sentence that goes with it."""
        return self.outcomes[name].message

    async def inventory(self) -> set[str]:
        """The names that the inventory in the cluster holds."""
        found = await self.store.read()
        return {ref.name for ref in found.records} if found else set()

    async def sees(self, name: str, status: Status) -> None:
        """Come back when the agent has seen how an object fares now."""
        observer = self._cluster.observer

        def is_seen() -> bool:
            refs = [ref for ref in observer.live if ref.name == name]
            return any((health := observer.health(ref)) is not None and health.status is status for ref in refs)

        await eventually(is_seen, what=f"{name} is seen {status}")

    async def misses(self, name: str) -> None:
        """Come back when the agent has seen that an object is gone."""
        live = self._cluster.observer.live
        await eventually(lambda: all(ref.name != name for ref in live), what=f"{name} is seen gone")

    async def misses_owner(self, name: str) -> None:
        """Come back when the agent has seen that an object is not the project's any more."""
        live, own = self._cluster.observer.live, self.sync.settings.inventory_id
        await eventually(
            lambda: any(ref.name == name and one.owner != own for ref, one in live.items()), what=f"{name} is another's"
        )

    async def waits(self) -> None:
        """Come back when the sync under way waits for something."""
        await eventually(lambda: self.sync.waiting, what="the sync waits")


@asynccontextmanager
async def syncing(kubeconfig: Path, namespace: str, *, projects: int = 1) -> AsyncIterator[list[Synced]]:
    """Yield projects of one agent of their own."""
    async with await KubeClient.connect(kubeconfig=str(kubeconfig)) as kube, asyncio.TaskGroup() as tasks:
        agent_id = secrets.randbelow(2**40)
        observer = Observer(kube, agent_id, tasks)
        objects, discovery = Objects(kube), Discovery(kube)
        found: list[Synced] = []
        cluster = Cluster(
            agent_id,
            discovery,
            objects,
            observer,
            Executor(objects, discovery),
            InventoryKey(kube, namespace),
            holders=lambda: {one.sync.settings.inventory_id: one.sync for one in found},
        )
        found += [Synced(kube, cluster, number + 1, namespace) for number in range(projects)]
        try:
            yield found
        finally:
            observer.stop()


def config_map(name: str, *, annotations: dict[str, str] | None = None, namespace: str = "", **data: str) -> Manifest:
    """A ConfigMap."""
    return _object("v1", "ConfigMap", name, annotations, namespace) | {"data": data or {"a": "1"}}


def namespace_of(name: str) -> Manifest:
    """A Namespace."""
    return _object("v1", "Namespace", name)


class Gates:
    """A kind of custom resource that is in progress until ``open`` or ``fail``."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self.group = f"g{secrets.token_hex(3)}.example.com"

    @property
    def definition(self) -> Manifest:
        """The CustomResourceDefinition. Its default status is that of an object that is not ready."""
        waiting = [{"type": "Ready", "status": "False", "reason": "Closed", "message": "the gate is closed"}]
        schema = {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "status": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "default": {"conditions": waiting},
                },
            },
        }
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        }
        names = {"kind": "Gate", "plural": "gates", "singular": "gate", "listKind": "GateList"}
        spec = {"group": self.group, "scope": "Namespaced", "names": names, "versions": [version]}
        return _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"gates.{self.group}") | {"spec": spec}

    @property
    def definition_path(self) -> str:
        """Where the definition is."""
        return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gates.{self.group}"

    def gate(self, name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:  # noqa: ANN401 - JSON
        """A gate, closed."""
        return _object(f"{self.group}/v1", "Gate", name, annotations) | {"spec": spec}

    def ref(self, namespace: str, name: str) -> str:
        """A gate as the annotation depends-on names it."""
        return f"{self.group}/namespaces/{namespace}/Gate/{name}"

    def path(self, namespace: str, name: str) -> str:
        """Where a gate is."""
        return f"/apis/{self.group}/v1/namespaces/{namespace}/gates/{name}"

    def open(self, namespace: str, name: str, **status: Any) -> None:  # noqa: ANN401 - JSON
        """Make a gate healthy."""
        self._condition(namespace, name, {"type": "Ready", "status": "True"}, status)

    def fail(self, namespace: str, name: str) -> None:
        """Make a gate fail for good."""
        self._condition(namespace, name, {"type": "Stalled", "status": "True", "message": "the hinge is broken"}, {})

    def _condition(self, namespace: str, name: str, condition: dict[str, str], status: dict[str, Any]) -> None:
        whole = {"reason": "Test", "message": "", **condition}
        self._kube.patch(f"{self.path(namespace, name)}/status", {"status": {"conditions": [whole], **status}})


def core(namespace: str, kind: str, name: str) -> str:
    """A namespaced object of the core group as the annotation depends-on names it."""
    return f"/namespaces/{namespace}/{kind}/{name}"


def _object(
    api_version: str, kind: str, name: str, annotations: dict[str, str] | None = None, namespace: str = ""
) -> Manifest:
    metadata: Manifest = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
