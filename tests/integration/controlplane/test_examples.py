from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

COLLECTIONS = {"Deployment": "/apis/apps/v1", "ConfigMap": "/api/v1", "Service": "/api/v1"}


@pytest.mark.usefixtures("ready_pods")
async def test_the_example_manifests_are_accepted_and_become_ready(kube: Kube, namespace: str) -> None:
    files = sorted((ROOT / "manifests/examples/manifest-project").rglob("*.yaml"))
    objects = [yaml.safe_load(file.read_text()) for file in files]
    assert {each["kind"] for each in objects} == set(COLLECTIONS)

    for each in objects:
        collection = f"{COLLECTIONS[each['kind']]}/namespaces/{namespace}/{each['kind'].lower()}s"
        kube.apply(f"{collection}/{each['metadata']['name']}", each)

    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/nginx-deployment"
    await eventually(lambda: kube.get(deployment)["status"].get("readyReplicas") == 1, what="nginx is Ready", within=60)
