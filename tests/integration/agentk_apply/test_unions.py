"""A union whose other half the server has filled in itself changes to another member, as kubectl can change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.support.engine import Manifest, Project
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LABELS = {"app": "un"}
PROBED = {"name": "c", "image": "nginx", "livenessProbe": {"httpGet": {"path": "/", "port": 80}}}
RUN = {"name": "c", "image": "nginx", "livenessProbe": {"exec": {"command": ["ls"]}}}
PLAIN = {"name": "c", "image": "nginx"}


def workload(kind: str, container: dict[str, Any], **spec: Any) -> Manifest:  # noqa: ANN401 - JSON
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [PLAIN | {"name": "first"}, container]}}
    spec = {"selector": {"matchLabels": LABELS}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": f"un-{kind.lower()}"}, "spec": spec}


def service(**spec: Any) -> Manifest:  # noqa: ANN401 - JSON
    spec = {"selector": LABELS, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "un"}, "spec": spec}


class Case(NamedTuple):
    before: Manifest
    after: Manifest
    path: str
    expected: dict[str, object]


CASES = {
    "Deployment": Case(
        workload("Deployment", PLAIN),
        workload("Deployment", PLAIN, strategy={"type": "Recreate"}),
        "apis/apps/v1/namespaces/{}/deployments/un-deployment",
        {"strategy": {"type": "Recreate"}},
    ),
    "StatefulSet": Case(
        workload("StatefulSet", PLAIN, serviceName="x"),
        workload("StatefulSet", PLAIN, serviceName="x", updateStrategy={"type": "OnDelete"}),
        "apis/apps/v1/namespaces/{}/statefulsets/un-statefulset",
        {"updateStrategy": {"type": "OnDelete"}},
    ),
    "Service": Case(
        service(sessionAffinity="ClientIP"),
        service(sessionAffinity="None"),
        "api/v1/namespaces/{}/services/un",
        {"sessionAffinity": "None"},
    ),
}


@pytest.mark.parametrize("kind", CASES)
async def test_it_goes_over_and_back_and_leaves_no_share_behind(
    project: Project, kube: Kube, namespace: str, kind: str
) -> None:
    before, after, path, expected = CASES[kind]
    assert await project.sync(before)
    assert await project.sync(after), project.outcomes[-1].message
    live = kube.get("/" + path.format(namespace))
    assert {key: live["spec"][key] for key in expected} == expected
    assert not (await project.decide(after)).stages, "and is at rest"
    ours = [one["manager"] for one in live["metadata"]["managedFields"] if one["manager"].startswith("agentk")]
    assert ours == ["agentk"]
    assert await project.sync(before), project.outcomes[-1].message
    assert await project.sync(after), project.outcomes[-1].message


async def test_what_somebody_else_has_set_is_not_taken_away(project: Project, kube: Kube, namespace: str) -> None:
    manifest = workload("Deployment", PLAIN) | {"metadata": {"name": "un-theirs"}}
    assert await project.sync(manifest)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/un-theirs"
    kube.patch(path, {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 3}}}})
    changed = workload("Deployment", PLAIN, strategy={"type": "Recreate"}) | {"metadata": {"name": "un-theirs"}}
    assert not await project.sync(changed)
    assert "spec.strategy.rollingUpdate: Forbidden" in project.outcomes[-1].message
    assert kube.get(path)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 3


async def test_the_handler_of_a_probe_is_another_one(project: Project, kube: Kube, namespace: str) -> None:
    assert await project.sync(workload("Deployment", PROBED) | {"metadata": {"name": "un-probe"}})
    assert await project.sync(workload("Deployment", RUN) | {"metadata": {"name": "un-probe"}})
    live = kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/un-probe")
    probe = next(one for one in live["spec"]["template"]["spec"]["containers"] if one["name"] == "c")["livenessProbe"]
    assert probe["exec"] == {"command": ["ls"]}
    assert "httpGet" not in probe
