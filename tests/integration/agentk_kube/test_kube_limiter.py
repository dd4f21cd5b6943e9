"""An API server that takes two changes at once and refuses the others with 429: everything is applied all the same."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from agentk.apply.execute import Executor
from agentk.apply.model import Kind, Outcome, ProjectSettings, Result, Snapshot
from agentk.apply.plan import plan
from agentk.apply.resolve import resolve
from agentk.kube.client import KubeClient
from agentk.kube.discovery import Discovery
from agentk.kube.objects import Objects
from tests.controlplane.cluster import open_control_plane
from tests.support.kube import Kube

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane

pytestmark = pytest.mark.cluster

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
OBJECTS = 400
NARROW = (
    "--enable-priority-and-fairness=false",
    "--max-mutating-requests-inflight=2",
    "--max-requests-inflight=400",
)


@contextmanager
def narrow_control_plane(tmp_path: Path) -> Iterator[tuple[ControlPlane, str]]:
    """Start one, and yield it with the kubeconfig of a user without the privilege of never being refused."""
    with open_control_plane(*NARROW) as plane:
        kube = Kube(plane.kubeconfig)
        account = {"metadata": {"name": "agentk"}}
        kube.create("/api/v1/namespaces/default/serviceaccounts", account)
        token = kube.create(
            "/api/v1/namespaces/default/serviceaccounts/agentk/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
        )
        kube.create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "metadata": {"name": "agentk"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "ServiceAccount", "name": "agentk", "namespace": "default"}],
            },
        )
        kube.close()
        document = yaml.safe_load(plane.kubeconfig.read_text())
        document["users"] = [{"name": "agentk", "user": {"token": token["status"]["token"]}}]
        for context in document["contexts"]:
            context["context"]["user"] = "agentk"
        path = tmp_path / "kubeconfig"
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(document))
        yield plane, str(path)


def snapshot() -> Snapshot:
    """Return many ConfigMaps in the namespace ``default``."""
    manifests = (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"narrow-{i}"}, "data": {"a": "1"}}
        for i in range(OBJECTS)
    )
    return Snapshot(1, "c0ffee", "sync", b"", {f"{i}.yaml": (orjson.dumps(one),) for i, one in enumerate(manifests)})


async def test_a_server_that_refuses_gets_fewer_requests_and_takes_all_while_lists_go_on(tmp_path: Path) -> None:
    with narrow_control_plane(tmp_path) as (_, kubeconfig):
        async with await KubeClient.connect(kubeconfig=kubeconfig) as client:
            project = client.in_lane("7-1")
            discovery = Discovery(client)
            await discovery.refresh()
            settings = ProjectSettings(1, "group/project", "7-1", "default")
            resolved = resolve(snapshot(), settings, discovery, 7)
            todo = plan(resolved, {}, {}, settings, kinds=discovery)
            outcomes: list[Outcome] = []
            limits: set[int] = set()

            def note(outcome: Outcome) -> None:
                outcomes.append(outcome)
                limits.add(client.limiter.concurrency.limit)

            listed = 0
            async with asyncio.TaskGroup() as group:
                applying = group.create_task(Executor(Objects(project), discovery).run(todo, note))
                while not applying.done():
                    async for _ in Objects(client).list(CONFIG_MAP, selector="agentk.io/agent=7"):
                        listed += 1
            assert applying.result()
    assert [one for one in outcomes if one.result is not Result.CREATED] == []
    assert len(outcomes) == OBJECTS
    # It began with eight, and most of the time no more were under way than the server takes, or one more to try.
    assert min(limits) <= 2
    assert client.limiter.concurrency.limit <= 4
    # Lists go before the applies of any project: one ended for every few objects.
    assert listed > OBJECTS / 20
