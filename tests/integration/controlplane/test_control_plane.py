from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kube import ApiError, Kube
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.controlplane.server import ControlPlane

pytestmark = pytest.mark.cluster


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "web", "image": "nginx:1.29"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_each_module_has_a_namespace_of_its_own(kube: Kube, namespace: str) -> None:
    assert namespace.startswith("test-control-plane-")
    kube.apply(f"/api/v1/namespaces/{namespace}/configmaps/c", config_map("c", a="1"))
    found = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/c")
    assert found["data"] == {"a": "1"}
    assert found["metadata"]["managedFields"][0]["manager"] == "test"


def test_the_server_says_its_release_so_that_clients_judge_it_right(control_plane: Cluster, kube: Kube) -> None:
    assert kube.url == control_plane.url
    assert kube.get("/version")["gitVersion"] != "v0.0.0-master+$Format:%H$"
    assert int(kube.get("/version")["minor"].rstrip("+")) >= 30


async def test_a_deleted_namespace_really_goes_away(control_plane: Cluster, kube: Kube) -> None:
    if not control_plane.runs_controllers:
        pytest.skip("envtest's programs are all there is, and no kube-controller-manager is among them")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "short-lived-"}}
    name = kube.create("/api/v1/namespaces", body)["metadata"]["name"]
    kube.create(f"/api/v1/namespaces/{name}/configmaps", config_map("inside"))
    kube.delete(f"/api/v1/namespaces/{name}")
    await eventually(lambda: kube.find(f"/api/v1/namespaces/{name}") is None, what=f"{name} is gone")
    assert kube.find(f"/api/v1/namespaces/{name}/configmaps/inside") is None


@pytest.mark.usefixtures("ready_pods")
async def test_a_deployment_becomes_ready_and_its_pods_go_with_it(kube: Kube, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    kube.create(path, deployment("web", 2))
    await eventually(
        lambda: kube.get(f"{path}/web")["status"].get("readyReplicas") == 2, what="two pods are Ready", within=60
    )
    kube.scale(f"{path}/web", 3)
    assert kube.get(f"{path}/web")["spec"]["replicas"] == 3

    kube.delete(f"{path}/web", propagationPolicy="Background")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    await eventually(lambda: not kube.get(pods)["items"], what="the pods have been collected", within=60)


def test_rbac_is_on(kube: Kube, namespace: str) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:default",
            "resourceAttributes": {"namespace": namespace, "verb": "get", "resource": "secrets"},
        },
    }
    answer = kube.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is False


def test_refusals_say_why(kube: Kube, namespace: str) -> None:
    with pytest.raises(ApiError, match=r"422 Invalid: .*not!a!name") as refused:
        kube.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map("not!a!name"))
    assert refused.value.reason == "Invalid"


def test_a_restarted_api_server_keeps_its_address_and_data(own_control_plane: ControlPlane) -> None:
    kube = Kube(own_control_plane.kubeconfig, timeout=5)
    path = "/api/v1/namespaces/default/configmaps"
    kube.create(path, config_map("kept", a="1"))

    own_control_plane.stop_api_server()
    with pytest.raises(Exception, match=r"Connection refused|Remote end closed|Connection reset"):
        kube.get("/version")
    own_control_plane.start_api_server()

    assert kube.get(f"{path}/kept")["data"] == {"a": "1"}
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}})
    if own_control_plane.runs_controllers:
        account = "/api/v1/namespaces/later/serviceaccounts/default"
        wait_until(lambda: kube.find(account), what="the controller manager works again", within=60)
    kube.close()


def test_an_api_service_of_an_extension_server_is_accepted(own_control_plane: ControlPlane) -> None:
    kube = Kube(own_control_plane.kubeconfig)
    body = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "groupPriorityMinimum": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "prometheus-adapter", "namespace": "monitoring"},
            "version": "v1beta1",
            "versionPriority": 100,
        },
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    kube.create(path, body)

    def conditions() -> dict[str, str]:
        found = kube.get(f"{path}/v1beta1.metrics.k8s.io").get("status", {}).get("conditions", [])
        return {condition["type"]: condition["reason"] for condition in found}

    wait_until(lambda: conditions() == {"Available": "ServiceNotFound"}, what="the aggregator has judged it")
    kube.close()
