from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from agentk.apply.names import INVENTORY_KEY
from agentlink import __version__
from kas.install.objects import objects
from kas.install.values import read_values
from tests.support.certificate import CERTIFICATE

TOKEN = "glagent-0123456789"
ACCOUNTS: dict[str, list[str]] = {"apiGroups": [""], "resources": ["serviceaccounts"]}
LEASES = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch", "watch"]},
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [INVENTORY_KEY], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
]
GRANT: dict[str, list[str]] = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["clusterroles", "roles"],
    "verbs": ["bind", "escalate"],
}
NEEDED = {"kasAddress": "wss://kas.example.com", "token": TOKEN}


def installed(namespace: str = "agents", **more: object) -> list[dict[str, Any]]:
    return list(objects(read_values({**NEEDED, **more}), namespace))


def names(made: list[dict[str, Any]]) -> list[str]:
    return [f"{one['kind']}/{one['metadata']['name']}" for one in made]


def one(made: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (candidate for candidate in made if candidate["kind"] == kind)
    return found


def container(made: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = one(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_what_is_made_has_gitlabs_names_in_an_order_that_can_be_created() -> None:
    assert names(installed()) == [
        "Namespace/agents",
        "ServiceAccount/gitlab-agent",
        "Role/gitlab-agent-leader-election",
        "RoleBinding/gitlab-agent-leader-election",
        "ClusterRole/gitlab-agent-gitops-read-all",
        "ClusterRoleBinding/gitlab-agent-gitops-read-all",
        "ClusterRole/gitlab-agent-gitops-write-all",
        "ClusterRoleBinding/gitlab-agent-gitops-write-all",
        "Secret/gitlab-agent-token",
        "NetworkPolicy/gitlab-agent",
        "Deployment/gitlab-agent",
    ]


def test_a_prefix_is_on_every_name_and_every_reference_but_the_namespace() -> None:
    made = installed(namePrefix="west-", caCert=CERTIFICATE)

    assert names(made)[0] == "Namespace/agents"
    assert all(name.partition("/")[2].startswith("west-gitlab-agent") for name in names(made)[1:])
    pod = one(made, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "west-gitlab-agent"
    assert pod["volumes"][0]["secret"] == {"secretName": "west-gitlab-agent-token"}
    assert pod["volumes"][2]["configMap"] == {"name": "west-gitlab-agent-ca"}
    for binding in (candidate for candidate in made if candidate["kind"] == "ClusterRoleBinding"):
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "west-gitlab-agent", "namespace": "agents"}]


def test_two_prefixes_select_different_pods() -> None:
    assert (
        one(installed(namePrefix="a-"), "Deployment")["spec"]["selector"]
        != one(installed(namePrefix="b-"), "Deployment")["spec"]["selector"]
    )


def test_every_selector_selects_the_pods_and_labels_of_ones_own_cannot_change_that() -> None:
    made = installed(podLabels={"app.kubernetes.io/name": "other", "team": "a"})
    deployment = one(made, "Deployment")["spec"]

    labels = deployment["template"]["metadata"]["labels"]
    assert labels["team"] == "a"
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert one(made, "NetworkPolicy")["spec"]["podSelector"] == deployment["selector"]


def test_the_token_is_in_the_secret_and_nowhere_else() -> None:
    made = installed()

    assert b64decode(one(made, "Secret")["data"]["token"]).decode() == TOKEN
    assert TOKEN not in repr([candidate for candidate in made if candidate["kind"] != "Secret"])


def test_a_secret_that_is_there_already_is_used_and_none_is_made() -> None:
    made = list(objects(read_values({"kasAddress": "wss://kas.example.com", "existingSecret": "mine"}), "agents"))

    assert "Secret" not in {candidate["kind"] for candidate in made}
    assert one(made, "Deployment")["spec"]["template"]["spec"]["volumes"][0]["secret"] == {"secretName": "mine"}


def test_without_rbac_there_are_no_roles() -> None:
    assert not [name for name in names(installed(rbac=False)) if "Role" in name]


def test_the_roles_are_gitlabs() -> None:
    rules = {
        candidate["metadata"]["name"]: candidate["rules"]
        for candidate in installed()
        if candidate["kind"] == "ClusterRole"
    }
    everything: dict[str, list[str]] = {"apiGroups": ["*"], "resources": ["*"]}
    assert rules == {
        "gitlab-agent-gitops-read-all": [{**everything, "verbs": ["get", "list", "watch"]}],
        "gitlab-agent-gitops-write-all": [{**everything, "verbs": ["create", "update", "patch", "delete"]}, GRANT],
    }


def test_confined_to_namespaces_no_right_is_cluster_wide() -> None:
    made = installed(scope={"namespaces": ["b", "a", "b"]})

    assert not [name for name in names(made) if name.startswith("Cluster")]
    roles = [candidate["metadata"] for candidate in made if candidate["kind"] in {"Role", "RoleBinding"}]
    assert [role["namespace"] for role in roles] == ["agents"] * 2 + ["b"] * 4 + ["a"] * 4


def test_confined_to_kinds_the_rules_name_them_and_the_inventories_config_maps() -> None:
    made = installed(scope={"kinds": ["widgets.example.com", "deployments.apps"]})

    read = next(candidate for candidate in made if candidate["kind"] == "ClusterRole")
    assert [(rule["apiGroups"], rule["resources"]) for rule in read["rules"]] == [
        ([""], ["configmaps"]),
        (["apps"], ["deployments"]),
        (["example.com"], ["widgets"]),
        (["autoscaling"], ["horizontalpodautoscalers"]),
    ]
    write = next(candidate for candidate in made if candidate["metadata"]["name"].endswith("write-all"))
    assert write["rules"][-1] == {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}


def test_an_agent_that_acts_as_accounts_looks_as_itself_and_writes_as_them() -> None:
    made = installed(scope={"impersonate": ["a/two", "b/one", "a/one"]})

    roles = [candidate for candidate in made if candidate["kind"].endswith("Role")]
    look = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    assert [(role["metadata"]["namespace"], role["rules"]) for role in roles if role["rules"] != LEASES] == [
        ("a", look),
        ("a", [{**ACCOUNTS, "resourceNames": ["one", "two"], "verbs": ["impersonate"]}]),
        ("b", look),
        ("b", [{**ACCOUNTS, "resourceNames": ["one"], "verbs": ["impersonate"]}]),
    ]


@pytest.mark.parametrize("scope", [{"namespaces": ["a"]}, {"kinds": ["roles.rbac.authorization.k8s.io"]}])
def test_no_rule_lets_a_narrowed_agent_grant_what_it_has_not(scope: dict[str, list[str]]) -> None:
    assert not verbs_of(installed(scope=scope)) & {"*", "escalate", "bind", "impersonate"}


def test_no_rule_lets_an_agent_act_as_others_unless_they_are_named() -> None:
    assert not verbs_of(installed()) & {"*", "impersonate"}


def verbs_of(objects: list[dict[str, Any]]) -> set[str]:
    return {verb for candidate in objects for rule in candidate.get("rules", []) for verb in rule["verbs"]}


@pytest.mark.parametrize("scope", [{}, {"namespaces": ["a"]}, {"kinds": ["services"]}, {"impersonate": ["a/x"]}])
def test_leases_are_for_the_agents_own_namespace_whatever_its_scope(scope: dict[str, list[str]]) -> None:
    role, *_ = (candidate for candidate in installed(scope=scope) if candidate["kind"] == "Role")

    assert (role["metadata"]["namespace"], role["rules"]) == ("agents", LEASES)


@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_a_new_pod_stands_by_before_an_old_one_ends(replicas: int) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert one(installed(replicas=replicas), "Deployment")["spec"]["strategy"] == strategy


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, f"agentk:{__version__}"),
        ({"agentVersion": "9.9"}, "agentk:9.9"),
        ({"image": "registry.example:5000/group/agentk"}, f"registry.example:5000/group/agentk:{__version__}"),
        ({"image": "registry.example:5000/group/agentk:7"}, "registry.example:5000/group/agentk:7"),
        ({"image": "agentk@sha256:" + "0" * 64}, "agentk@sha256:" + "0" * 64),
    ],
)
def test_an_image_gets_a_tag_where_it_has_none(given: dict[str, str], expected: str) -> None:
    assert container(installed(**given))["image"] == expected


def test_what_kubernetes_would_replace_in_arguments_and_variables_reaches_agentk_as_given() -> None:
    made = container(installed(kasAddress="wss://kas.example.com/$(POD_NAME)", env={"A": "$(B)"}))

    assert "--kas-address=wss://kas.example.com/$$(POD_NAME)" in made["args"]
    assert made["env"][-1] == {"name": "A", "value": "$$(B)"}


def test_a_certificate_authority_is_mounted_and_named() -> None:
    made = installed(caCert=CERTIFICATE)

    assert one(made, "ConfigMap")["data"] == {"ca.crt": CERTIFICATE}
    assert "--ca-cert-file=/etc/agentk/ca/ca.crt" in container(made)["args"]
    assert {"name": "ca", "mountPath": "/etc/agentk/ca", "readOnly": True} in container(made)["volumeMounts"]


@pytest.mark.parametrize(
    ("address", "port"),
    [("wss://k", 443), ("ws://k", 80), ("grpcs://k", 8152), ("wss://[::1]:9000/x", 9000), ("grpc://10.0.0.1:7", 7)],
)
def test_the_network_policy_lets_agentk_reach_kas_name_servers_and_the_api_server(address: str, port: int) -> None:
    spec = one(installed(kasAddress=address), "NetworkPolicy")["spec"]

    dns, servers = spec["egress"]
    assert {item["port"] for item in dns["ports"]} == {53, 5353}
    assert {item["port"] for item in servers["ports"]} == {443, 6443, port}
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8081}]}]


def test_without_a_network_policy_there_is_none() -> None:
    assert "NetworkPolicy/gitlab-agent" not in names(installed(networkPolicy={"enabled": False}))


def test_resources_are_laid_over_the_defaults_and_null_takes_away() -> None:
    given = {"limits": {"memory": None, "cpu": "1"}, "requests": {"cpu": "1"}}
    assert container(installed(resources=given))["resources"] == {
        "requests": {"cpu": "1", "memory": "128Mi"},
        "limits": {"cpu": "1"},
    }


def test_several_replicas_have_a_budget_and_are_spread_where_there_is_room() -> None:
    made = installed(replicas=2)

    assert one(made, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    spec = one(made, "Deployment")["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["labelSelector"], spread["whenUnsatisfiable"]) == (spec["selector"], "ScheduleAnyway")


def test_one_replica_has_no_budget_that_would_keep_its_node_from_being_emptied() -> None:
    made = installed()

    assert "PodDisruptionBudget/gitlab-agent" not in names(made)
    assert "topologySpreadConstraints" not in one(made, "Deployment")["spec"]["template"]["spec"]


def test_the_pod_keeps_to_the_restricted_standard() -> None:
    made = installed()
    pod = one(made, "Deployment")["spec"]["template"]["spec"]

    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
