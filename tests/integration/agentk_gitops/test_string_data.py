"""A Secret's ``stringData`` is Git's key by key: what leaves it goes, and what is changed by hand is put back."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.names import APPLY_TIME_MUTATION, IGNORE_FIELDS
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


def secret(agent: DrivenAgent, name: str, strings: dict[str, str], **annotations: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": agent.namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": strings}


async def test_a_key_that_leaves_git_goes_and_one_that_is_changed_by_hand_is_put_back(
    agent: DrivenAgent, kube: Kube
) -> None:
    def held(name: str) -> dict[str, str]:
        data = kube.get(f"/api/v1/namespaces/{agent.namespace}/secrets/{name}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    mutation = [
        {
            "sourceRef": {"kind": "ConfigMap", "name": "source"},
            "sourcePath": "$.data.value",
            "targetPath": "$.stringData.filled",
        }
    ]
    filled = secret(agent, "filled", {"filled": "later", "own": "o"}, **{APPLY_TIME_MUTATION: json.dumps(mutation)})
    left = secret(agent, "left", {"keep": "k", "others": "o"}, **{IGNORE_FIELDS: "/stringData/others"})
    agent.configure()
    others = filled, left, agent.config_map("source", "from there")
    first = agent.offer(secret(agent, "strings", {"keep": "k", "drop": "d"}), *others)
    await agent.reached(first, "healthy")
    assert held("strings") == {"keep": "k", "drop": "d"}
    assert held("filled") == {"filled": "from there", "own": "o"}
    assert held("left") == {"keep": "k", "others": "o"}

    second = agent.offer(
        secret(agent, "strings", {"keep": "k"}), filled, left, agent.config_map("source", "from there")
    )
    await agent.reached(second, "healthy")
    assert held("strings") == {"keep": "k"}

    by_hand = base64.b64encode(b"by hand").decode()
    for name in ("strings", "filled", "left"):
        kube.patch(f"/api/v1/namespaces/{agent.namespace}/secrets/{name}", {"data": {"others": by_hand}})
    kube.patch(f"/api/v1/namespaces/{agent.namespace}/secrets/strings", {"data": {"keep": by_hand}})
    kube.patch(f"/api/v1/namespaces/{agent.namespace}/secrets/filled", {"data": {"filled": by_hand}})
    await eventually(
        lambda: (held("strings")["keep"], held("filled")["filled"]) == ("k", "from there"), what="they are put back"
    )
    assert held("left") == {"keep": "k", "others": "by hand"}
    assert held("strings")["others"] == "by hand", "what Git never had is somebody else's"
