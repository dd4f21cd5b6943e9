"""A Job or a bare Pod that ended as Git has it is done: it is not made again when it is gone, until Git changes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.names import DEPENDS_ON
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


def pod_spec(image: str) -> dict[str, Any]:
    return {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}


def job(agent: DrivenAgent, image: str = "busybox:1") -> dict[str, Any]:
    metadata = {"name": "migrate", "namespace": agent.namespace}
    spec = {"ttlSecondsAfterFinished": 0, "template": {"spec": pod_spec(image)}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def pod(agent: DrivenAgent) -> dict[str, Any]:
    metadata = {"name": "once", "namespace": agent.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec("busybox:1")}


async def test_what_ended_well_is_not_made_again_when_it_is_gone_and_what_git_changes_is(
    control_plane: Cluster, agent: DrivenAgent, kube: Kube, tmp_path: Path
) -> None:
    pods = f"/api/v1/namespaces/{agent.namespace}/pods"
    path = f"/apis/batch/v1/namespaces/{agent.namespace}/jobs/migrate"

    async def end(name: str) -> None:
        await eventually(lambda: kube.find(f"{pods}/{name}") is not None, what=f"pod {name} is there")
        kube.patch(f"{pods}/{name}/status", {"status": {"phase": "Succeeded"}})

    async def pod_of_job() -> str:
        def found() -> list[Any]:
            return list(kube.get(pods, labelSelector="job-name=migrate")["items"])

        await eventually(lambda: bool(found()), what="the Job has its pod")
        return str(found()[0]["metadata"]["name"])

    job_ref = f"batch/namespaces/{agent.namespace}/Job/migrate"
    after = agent.config_map("after")
    after["metadata"]["annotations"] = {DEPENDS_ON: job_ref}
    agent.configure()
    first = agent.offer(job(agent), pod(agent), after)
    await end("once")
    await end(await pod_of_job())
    await eventually(lambda: kube.find(path) is None, what="the Job is deleted after it has ended", within=30)
    kube.delete(f"{pods}/once")
    await agent.reached(first, "healthy")

    # Neither another revision, nor a new process that never saw them, makes them again; a dependent does not wait.
    changed = json.loads(json.dumps(after))
    changed["data"]["value"] = "2"
    await agent.reached(agent.offer(job(agent), pod(agent), changed), "healthy")
    (tmp_path / "anew").mkdir()
    async with driven_agent(control_plane, kube, tmp_path / "anew", of=agent) as anew:
        anew.configure()
        again = json.loads(json.dumps(after))
        again["data"]["value"] = "3"
        await anew.reached(anew.offer(job(anew), pod(anew), again), "healthy")
        told = anew.outcome("migrate")
        assert told is not None
        assert (told.result, told.reason) == (wire.RESULT_UNCHANGED, "Completed")
        assert kube.find(path) is None
        assert kube.find(f"{pods}/once") is None

        anew.offer(job(anew, "busybox:2"), pod(anew), again)
        await eventually(lambda: kube.find(path) is not None, what="the changed Job is made")
        # One that is deleted before it has ended is not done.
        uid = kube.get(path)["metadata"]["uid"]
        kube.delete(path, propagationPolicy="Background")
        await eventually(
            lambda: (found := kube.find(path)) is not None and found["metadata"]["uid"] != uid, what="it is put back"
        )
