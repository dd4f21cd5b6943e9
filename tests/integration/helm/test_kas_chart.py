"""The chart of kas: settings that kas takes, objects that a cluster takes, pods that `restricted` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agentlink import __version__
from kas.settings import load_settings
from tests.helm.charts import CHARTS, HelmError
from tests.support.network_policy import admits, selects

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.helm.charts import Helm
    from tests.support.kube import Kube

SEVERAL: dict[str, Any] = {
    "database": {"url": "postgresql://kas@db/kas?sslmode=verify-full"},
    "redis": {"url": "redis://redis:6379/0", "existingSecret": "kas-redis"},
}

CHOICES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "credentials and webhook": {
        "git": {
            "urlTemplate": "https://git.example.com/{project}.git",
            "credential": {"existingSecret": "git", "kind": "deploy_token", "username": "kas"},
        },
        "webhook": {"existingSecret": "hook"},
    },
    "tls and links": {
        "tls": {"existingSecret": "kas-tls"},
        "externalUrl": "https://kas.example.com",
        "install": {"kasAddress": "wss://agents.example.com", "image": "registry.example.com/agentk"},
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "agentHost": "agents.example.com",
            "apiHost": "kas.example.com",
            "tlsSecret": "kas-tls",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "3600"},
        }
    },
    "for trying out": {"persistence": {"enabled": False}, "networkPolicy": {"enabled": False}, "fsGroup": None},
    "Redis in the pod": {**SEVERAL, "redis": {"url": "redis://localhost:6379/0"}},
    "Redis with an own authority": {
        **SEVERAL,
        "replicas": 2,
        "redis": {"url": "rediss://redis:6379/0", "existingSecret": "kas-redis"},
        "settings": {"redis_ca_file": "/etc/kas/redis/ca.crt"},
    },
    "other settings": {
        "settings": {"git": {"poll_interval": "5s"}, "agent_listener": {"grpc_address": None}},
        "logLevel": "debug",
        "env": {"HTTPS_PROXY": "http://proxy:3128", "A": "$(B)"},
        "image": "registry.example.com:5000/kas@sha256:" + "0" * 64,
        "imagePullSecrets": ["pull"],
    },
    "several": {**SEVERAL, "replicas": 3},
    "as many as needed": {**SEVERAL, "autoscaling": {"enabled": True}},
    "placing": {
        "podLabels": {"app.kubernetes.io/name": "other", "team": "y"},
        "podAnnotations": {"a": "b: {"},
        "nodeSelector": {"a": "true"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "persistence": {"storageClass": "fast", "size": "20Gi"},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    },
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two on SQLite": ({"replicas": 2}, "database.url"),
    "several on SQLite": ({"autoscaling": {"enabled": True}}, "database.url"),
    "several without Redis": ({"replicas": 2, "database": SEVERAL["database"]}, "redis.url"),
    "Redis with SQLite": ({"redis": SEVERAL["redis"]}, "database.url"),
    "password in Redis' URL": ({**SEVERAL, "redis": {"url": "redis://:hunter2@redis/0"}}, "existingSecret"),
    "Redis without a password": ({**SEVERAL, "redis": {"url": "redis://redis/0", "existingSecret": ""}}, "password"),
    "fewer than the least": ({**SEVERAL, "autoscaling": {"enabled": True, "maxReplicas": 1}}, "minReplicas"),
    "password in the URL": ({"database": {"url": "postgresql://kas:hunter2@db/kas"}}, "existingSecret"),
    "nobody's deploy token": ({"git": {"credential": {"existingSecret": "a", "kind": "deploy_token"}}}, "username"),
    "two versions": ({"image": "kas:1", "version": "2"}, "version"),
    "ingress without hosts": ({"ingress": {"enabled": True}}, "agentHost"),
    "ingress with one host": ({"ingress": {"enabled": True, "agentHost": "a", "apiHost": "a"}}, "share a host"),
    "value that is none": ({"nonsense": 1}, "nonsense"),
    "template without a project": ({"git": {"urlTemplate": "https://git.example.com"}}, "urlTemplate"),
    "address of another scheme": ({"install": {"kasAddress": "https://kas.example.com"}}, "kasAddress"),
    "drain period that is none": ({"settings": {"agent_listener": {"drain_period": "long"}}}, "drain_period"),
    "another database": ({"database": {"url": "mysql://db/kas"}}, "url"),
}

PATHS = {
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (candidate for candidate in objects if candidate["kind"] == kind)
    return found


@pytest.mark.parametrize("choice", CHOICES)
def test_the_chart_passes_helms_lint_and_kas_takes_its_settings(choice: str, helm: Helm, tmp_path: Path) -> None:
    helm.lint("kas", CHOICES[choice])
    file = tmp_path / "kas.yaml"
    file.write_text(one(helm.template("kas", CHOICES[choice]), "ConfigMap")["data"]["kas.yaml"])

    settings = load_settings(file, environment={})

    assert str(settings.data_dir) == "/var/lib/kas"
    assert str(settings.api.address) == "0.0.0.0:8153"


def test_what_is_chosen_reaches_the_settings(helm: Helm) -> None:
    values = {key: value for choice in CHOICES.values() for key, value in choice.items() if key != "persistence"}
    objects = helm.template("kas", values)
    settings = yaml.safe_load(one(objects, "ConfigMap")["data"]["kas.yaml"])

    credential = {"kind": "deploy_token", "username": "kas", "token_file": "/etc/kas/git/token"}
    assert settings["git"]["credential"] == credential
    assert settings["git"]["poll_interval"] == "5s"
    assert settings["install"] == {"kas_address": "wss://agents.example.com", "image": "registry.example.com/agentk"}
    assert settings["agent_listener"] == {
        "websocket_address": "0.0.0.0:8150",
        "certificate_file": "/etc/kas/tls/tls.crt",
        "key_file": "/etc/kas/tls/tls.key",
        "grpc_address": None,
    }
    spec = one(objects, "StatefulSet")["spec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    for file in (credential["token_file"], "/etc/kas/webhook/token", "/etc/kas/tls/tls.key"):
        assert file.rpartition("/")[0] in mounted.values()
    assert {volume["name"] for volume in spec["volumes"]} | {"data"} == set(mounted)
    assert {"name": "A", "value": "$$(B)"} in spec["containers"][0]["env"]


def test_a_change_of_settings_restarts_the_pod(helm: Helm) -> None:
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        objects = helm.template("kas", values)
        found: dict[str, str] = one(objects, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations({}) == annotations({"replicas": 0})
    assert annotations({}) != annotations({"settings": {"git": {"poll_interval": "5s"}}})


def test_several_replicas_share_postgresql_and_redis_and_have_a_budget(helm: Helm) -> None:
    database = {"url": "postgresql://kas@db/kas?sslmode=verify-full", "existingSecret": "pg"}
    redis = {"url": "rediss://redis:6379/0", "existingSecret": "redis"}
    objects = helm.template("kas", {"replicas": 2, "database": database, "redis": redis})

    budget, pod = one(objects, "PodDisruptionBudget")["spec"], one(objects, "StatefulSet")["spec"]["template"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (mount,) = [mount for mount in pod["spec"]["containers"][0]["volumeMounts"] if mount["name"] == "redis"]
    assert mount["mountPath"] == "/etc/kas/redis"
    settings = yaml.safe_load(one(objects, "ConfigMap")["data"]["kas.yaml"])
    assert settings["database"] == database["url"]
    assert settings["database_password_file"] == "/etc/kas/database/password"
    assert settings["redis"] == redis["url"]
    assert settings["redis_password_file"] == "/etc/kas/redis/password"
    assert not [o for o in objects if o["kind"] == "HorizontalPodAutoscaler"]


def test_replicas_are_scaled_by_the_agents_that_are_connected(helm: Helm) -> None:
    values = {**SEVERAL, "autoscaling": {"enabled": True, "agentsPerReplica": 2500}}
    objects = helm.template("kas", values)

    spec = one(objects, "HorizontalPodAutoscaler")["spec"]
    (metric,) = spec["metrics"]
    assert metric["pods"]["metric"]["name"] == "kas_connected_agents"
    assert metric["pods"]["target"]["averageValue"] == "2500"
    stateful_set = one(objects, "StatefulSet")
    assert spec["scaleTargetRef"]["name"] == stateful_set["metadata"]["name"]
    assert "replicas" not in stateful_set["spec"]
    assert one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("values", "drain"),
    [
        ({}, 15),
        ({"settings": {"agent_listener": {"drain_period": "1m30s"}}}, 90),
        ({"settings": {"agent_listener": {"drain_period": "500ms"}}}, 1),
        ({"env": {"KAS_AGENT_LISTENER__DRAIN_PERIOD": "2m"}}, 120),
        ({"settings": {"agent_listener": None}}, 15),
    ],
)
def test_a_pod_is_not_killed_while_its_agents_move_to_others(values: dict[str, Any], drain: int, helm: Helm) -> None:
    pod = one(helm.template("kas", {**SEVERAL, "replicas": 2, **values}), "StatefulSet")["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] == drain + 45
    (container,) = pod["containers"]
    # What says no as soon as it drains; that it is alive must be said meanwhile.
    assert container["readinessProbe"]["httpGet"]["path"] == "/readiness"
    assert container["livenessProbe"]["httpGet"]["path"] == "/liveness"


def test_a_service_monitor_finds_the_service_with_the_metrics(helm: Helm) -> None:
    objects = helm.template("kas", {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    monitor = one(objects, "ServiceMonitor")

    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [o for o in objects if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()]
    assert [o["metadata"]["name"] for o in found] == ["release-observability"]
    assert monitor["spec"]["endpoints"][0]["port"] == found[0]["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize("mistake", WRONG)
def test_what_cannot_work_is_refused_with_the_value_to_change(mistake: str, helm: Helm) -> None:
    values, named = WRONG[mistake]

    with pytest.raises(HelmError, match=named) as refused:
        helm.template("kas", values)
    assert "hunter2" not in str(refused.value)


def test_the_chart_installs_the_version_it_stands_beside() -> None:
    assert yaml.safe_load((CHARTS / "kas" / "Chart.yaml").read_text())["appVersion"] == __version__


@pytest.mark.cluster
@pytest.mark.parametrize("choice", CHOICES)
def test_a_cluster_takes_every_object_and_restricted_takes_the_pod(
    choice: str, helm: Helm, control_plane: ControlPlane, kube: Kube, namespace: str
) -> None:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": restricted}})
    assert control_plane.url
    objects = helm.template("kas", CHOICES[choice], namespace=namespace)

    for made in objects:
        kube.create(f"{PATHS[made['kind']].format(namespace)}?dryRun=All&fieldValidation=Strict", made)

    template = one(objects, "StatefulSet")["spec"]["template"]
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data-release-0"}}
    volumes = [volume for volume in template["spec"]["volumes"] if volume["name"] != "data"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one"},
        # The controller of StatefulSets does the same, and kubelet gives no token; the account must be there.
        "spec": {**template["spec"], "volumes": [*volumes, claim], "serviceAccountName": "default"},
    }
    kube.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


def test_the_network_policy_lets_kas_reach_git_and_its_database_and_be_reached_at_its_ports(helm: Helm) -> None:
    made = helm.template("kas", {})
    (policy,) = (one for one in made if one["kind"] == "NetworkPolicy")
    (workload,) = (one for one in made if one["kind"] == "StatefulSet")
    pod = workload["spec"]["template"]
    assert selects(policy, pod["metadata"]["labels"])
    (container,) = pod["spec"]["containers"]
    ports = {item["containerPort"] for item in container["ports"]}
    assert {port for port in (*ports, 22, 80, 5432) if admits(policy, "Ingress", "10.0.0.9", port)} == ports
    reached = {port for port in (22, 53, 80, 443, 5432, 6379, 6443) if admits(policy, "Egress", "203.0.113.7", port)}
    assert reached == {53, 80, 443, 5432}
    with_redis = one(helm.template("kas", SEVERAL), "NetworkPolicy")
    assert admits(with_redis, "Egress", "203.0.113.7", 6379)
    assert admits(policy, "Egress", "10.96.0.10", 53, "UDP")
