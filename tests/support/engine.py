"""The apply engine as a test drives it: one project's syncs on a real cluster, without an agent around them."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from agentk.apply.execute import Executor
from agentk.apply.model import (
    Kind,
    Live,
    Outcome,
    Plan,
    ProjectSettings,
    Propagation,
    Recorded,
    Result,
    Snapshot,
)
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved, resolve
from agentk.apply.traits import leave_scaled
from agentk.kube.discovery import Discovery
from agentk.kube.objects import Objects
from agentk.kube.retry import RetryPolicy

if TYPE_CHECKING:
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef

Manifest = dict[str, Any]


class Project:
    """One project's syncs: what the agent's loop does around the engine, without a ConfigMap for the inventory."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.objects = Objects(client, retries=RetryPolicy(attempts=2))
        self.discovery = Discovery(client)
        self.executor = Executor(self.objects, self.discovery)
        self.settings = ProjectSettings(
            1, "group/project", f"7-{secrets.token_hex(3)}", namespace, propagation=Propagation.BACKGROUND
        )
        self.recorded: dict[ObjectRef, Recorded] = {}
        self.outcomes: list[Outcome] = []
        self.scalers: dict[ObjectRef, ObjectRef] = {}

    async def decide(self, *manifests: Manifest) -> Plan:
        await self.discovery.refresh()
        files = {f"{i}.yaml": (orjson.dumps(one),) for i, one in enumerate(manifests)}
        resolved = resolve(Snapshot(1, "c0ffee", "sync", b"", files), self.settings, self.discovery, 7)
        resolved = replace(resolved, desired=leave_scaled(resolved.desired, self.scalers, resolved.body_of))
        live = await self.look(resolved)
        return plan(resolved, self.recorded, live, self.settings, kinds=self.discovery)

    async def look(self, resolved: Resolved) -> dict[ObjectRef, Live]:
        names: defaultdict[Kind, set[ObjectRef]] = defaultdict(set)
        for ref in {one.ref for one in resolved.desired} | set(self.recorded):
            kind = self.discovery.find(ref.group, ref.kind, "")
            if kind is not None:
                names[kind].add(ref)
        return {
            ref: live for kind, refs in names.items() for ref, live in (await self.objects.lookup(kind, refs)).items()
        }

    async def carry_out(self, todo: Plan) -> bool:
        self.outcomes = []
        self.recorded |= {ref: Recorded(ref) for ref in todo.record or () if ref not in self.recorded}
        complete = await self.executor.run(todo, self.note)
        for ref in todo.forget:
            self.recorded.pop(ref, None)
        assert len(self.outcomes) == todo.total == len({one.ref for one in self.outcomes})
        return complete

    async def sync(self, *manifests: Manifest) -> bool:
        return await self.carry_out(await self.decide(*manifests))

    def note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.result is Result.PRUNED or outcome.reason == "Released":
            self.recorded.pop(outcome.ref)
        elif outcome.digest:
            self.recorded[outcome.ref] = Recorded(outcome.ref, outcome.digest, outcome.fingerprint, outcome.uid)

    @property
    def results(self) -> dict[str, str]:
        return {one.ref.name: one.result.value for one in self.outcomes}

    def outcome(self, name: str) -> Outcome:
        return next(one for one in self.outcomes if one.ref.name == name)


def config_map(name: str, **data: str) -> Manifest:
    """A ConfigMap that holds ``data``."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"a": "1"}}


def path(namespace: str, name: str) -> str:
    """Where a ConfigMap is; with an empty name, the collection."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"
