"""What agentk stands on is nobody's to change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentk.apply.rules.own import (
    OwnObjects,
    Selector,
    named_in,
    namespaces_of_rights,
    refuse_account,
    refuse_aggregated,
    refuse_binding,
    refuse_own,
    selects,
)
from agentlink.refs import ObjectRef

DEPLOYMENT = ObjectRef("apps", "Deployment", "agents", "gitlab-agent")
TOKEN = ObjectRef("", "Secret", "agents", "token")
OWN = OwnObjects(("agents", "gitlab-agent"), frozenset({DEPLOYMENT, TOKEN}), frozenset({"agents-of-the-house"}))
RBAC = "rbac.authorization.k8s.io"
BINDING = ObjectRef(RBAC, "RoleBinding", "team", "b")


def test_an_object_of_the_agent_is_refused_and_one_beside_it_is_not() -> None:
    refusal = refuse_own(DEPLOYMENT, OWN)
    assert refusal is not None
    assert refusal.reason == "Protected"
    assert refuse_own(ObjectRef("apps", "Deployment", "agents", "other"), OWN) is None
    assert refuse_own(DEPLOYMENT, OwnObjects()) is None


def test_a_key_of_inventories_is_agentk_s_own_wherever_it_is() -> None:
    key = ObjectRef("", "Secret", "anywhere", "agentk-inventory-key")
    assert refuse_own(key, OwnObjects()) is not None
    assert refuse_own(key._replace(kind="ConfigMap"), OwnObjects()) is None


@pytest.mark.parametrize(
    ("subject", "refused"),
    [
        ({"kind": "ServiceAccount", "namespace": "agents", "name": "gitlab-agent"}, True),
        ({"kind": "ServiceAccount", "namespace": "team", "name": "gitlab-agent"}, False),
        ({"kind": "ServiceAccount", "name": "gitlab-agent"}, False),
        ({"kind": "User", "name": "system:serviceaccount:agents:gitlab-agent"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts:agents"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts"}, True),
        ({"kind": "Group", "name": "system:authenticated"}, True),
        ({"kind": "Group", "name": "agents-of-the-house"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts:team"}, False),
        ({"kind": "Group", "name": "developers"}, False),
        ({"kind": "User", "name": "system:authenticated"}, False),
        ("no mapping", False),
    ],
)
def test_a_binding_may_not_give_the_agent_rights(subject: object, refused: bool) -> None:  # noqa: FBT001 - a case
    assert (refuse_binding(BINDING, {"subjects": [subject]}, OWN) is not None) is refused


def test_a_subject_without_namespace_is_in_that_of_its_binding() -> None:
    binding = ObjectRef(RBAC, "RoleBinding", "agents", "b")
    manifest = {"subjects": [{"kind": "ServiceAccount", "name": "gitlab-agent"}]}
    assert refuse_binding(binding, manifest, OWN) is not None


def test_rights_are_looked_for_where_a_project_has_some() -> None:
    refs = [BINDING, ObjectRef(RBAC, "Role", "web", "r"), ObjectRef(RBAC, "ClusterRole", "", "c"), DEPLOYMENT]
    assert namespaces_of_rights(refs) == {"team", "web"}


@pytest.mark.parametrize("manifest", [{}, {"subjects": None}, {"subjects": "x"}])
def test_a_binding_without_subjects_gives_nobody_anything(manifest: dict[str, Any]) -> None:
    assert refuse_binding(BINDING, manifest, OWN) is None


def test_other_kinds_and_an_agent_outside_the_cluster_are_not_looked_at() -> None:
    manifest = {"subjects": [{"kind": "ServiceAccount", "namespace": "agents", "name": "gitlab-agent"}]}
    assert refuse_binding(ObjectRef("", "ConfigMap", "team", "b"), manifest, OWN) is None
    assert refuse_binding(BINDING, manifest, OwnObjects()) is None


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (Selector(), True),
        (Selector((("a", "1"),)), True),
        (Selector((("a", "2"),)), False),
        (Selector((("a", "1"),), (("b", "Exists", ()),)), False),
        (Selector(expressions=(("a", "In", ("0", "1")),)), True),
        (Selector(expressions=(("a", "NotIn", ("0", "1")),)), False),
        (Selector(expressions=(("b", "NotIn", ("0",)),)), True),
        (Selector(expressions=(("b", "DoesNotExist", ()),)), True),
        (Selector(expressions=(("a", "Later", ()),)), True),
    ],
)
def test_a_selector_selects_as_kubernetes_does(selector: Selector, selected: bool) -> None:  # noqa: FBT001 - a case
    assert selects(selector, {"a": "1"}) is selected


def test_a_cluster_role_may_not_be_added_to_one_of_the_agents() -> None:
    own = OwnObjects(("agents", "gitlab-agent"), aggregated=(Selector((("to-admin", "true"),)),))
    role = ObjectRef(RBAC, "ClusterRole", "", "more")
    assert refuse_aggregated(role, {"to-admin": "true"}, own) is not None
    assert refuse_aggregated(role, {"to-edit": "true"}, own) is None
    assert refuse_aggregated(role._replace(kind="Role"), {"to-admin": "true"}, own) is None


POD = {"containers": [], "serviceAccountName": "gitlab-agent"}


@pytest.mark.parametrize(
    ("kind", "manifest", "refused"),
    [
        ("Pod", {"spec": POD}, True),
        ("Pod", {"spec": {"containers": [], "serviceAccount": "gitlab-agent"}}, True),
        ("Pod", {"spec": {"containers": []}}, False),
        ("Deployment", {"spec": {"template": {"spec": POD}}}, True),
        ("CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": POD}}}}}, True),
        ("Deployment", {"spec": {"template": {"spec": {**POD, "serviceAccountName": "web"}}}}, False),
        ("Secret", {"metadata": {"annotations": {"kubernetes.io/service-account.name": "gitlab-agent"}}}, True),
        ("Secret", {"metadata": {"annotations": {"kubernetes.io/service-account.name": "web"}}}, False),
        ("Deployment", {"spec": {"jobTemplate": None, "template": {"spec": POD}}}, True),
        ("PodTemplate", {"template": {"spec": POD}}, True),
        ("Workflow", {"spec": {"steps": [[{"run": POD}]]}}, True),
        ("Workflow", {"spec": {"serviceAccountName": "gitlab-agent"}}, True),
        ("ConfigMap", {"spec": "text"}, False),
        ("ConfigMap", {"data": {"serviceAccountName": "gitlab-agent"}}, False),
    ],
)
def test_nothing_may_run_as_the_agent_or_hold_its_token(kind: str, manifest: dict[str, Any], refused: bool) -> None:  # noqa: FBT001 - a case
    whole = {"metadata": {}, **manifest}
    assert (refuse_account(ObjectRef("", kind, "agents", "x"), whole, OWN) is not None) is refused
    assert refuse_account(ObjectRef("", kind, "team", "x"), whole, OWN) is None
    assert refuse_account(ObjectRef("", kind, "agents", "x"), whole, OwnObjects()) is None


@pytest.mark.parametrize("secret", ["agentk-inventory-key", "token"])
@pytest.mark.parametrize(
    "reading",
    [
        '{"volumes": [{"name": "v", "secret": {"secretName": "SECRET"}}]}',
        '{"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "SECRET"}}]}}]}',
        '{"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "SECRET"}}}]}',
        '{"volumes": [{"name": "v", "azureFile": {"secretName": "SECRET"}}]}',
        '{"containers": [{"envFrom": [{"secretRef": {"name": "SECRET"}}]}]}',
        '{"initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "SECRET"}}}]}]}',
    ],
)
def test_a_pod_beside_agentk_does_not_read_its_secrets(reading: str, secret: str) -> None:
    spec = {"serviceAccountName": "other", **json.loads(reading.replace("SECRET", secret))}
    whole = {"metadata": {"name": "x"}, "spec": {"jobTemplate": None, "template": {"spec": spec}}}
    refusal = refuse_account(ObjectRef("apps", "Deployment", "agents", "x"), whole, OWN)
    assert refusal is not None
    assert f"agents/{secret}" in refusal.message
    assert refuse_account(ObjectRef("apps", "Deployment", "team", "x"), whole, OWN) is None
    other = json.loads(json.dumps(whole).replace(secret, "mine"))
    assert refuse_account(ObjectRef("apps", "Deployment", "agents", "x"), other, OWN) is None


def test_what_is_no_pod_may_name_a_secret_that_agentk_reads_too() -> None:
    ingress = {"metadata": {"name": "x"}, "spec": {"tls": [{"secretName": "token"}]}}
    assert refuse_account(ObjectRef("networking.k8s.io", "Ingress", "agents", "x"), ingress, OWN) is None


def test_what_a_pod_names_is_found_wherever_it_reads() -> None:
    spec = {
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"secret": {"secretName": "a"}},
            {"configMap": {"name": "b"}},
            {"projected": {"sources": [{"secret": {"name": "c"}}, {"configMap": {"name": "d"}}]}},
        ],
        "containers": [
            {
                "envFrom": [{"secretRef": {"name": "e"}}, {"configMapRef": {"name": "f"}}],
                "env": [
                    {"valueFrom": {"secretKeyRef": {"name": "g", "key": "k"}}},
                    {"valueFrom": {"configMapKeyRef": {"name": "h", "key": "k"}}},
                ],
            }
        ],
    }
    assert set(named_in(spec, "Secret")) == {"a", "c", "e", "g"}
    assert set(named_in(spec, "ConfigMap")) == {"b", "d", "f", "h"}


def test_pods_within_pods_are_read_once() -> None:
    nested: dict[str, Any] = {"secret": {"secretName": "a"}}
    for _ in range(50):
        nested = {"containers": [nested]}
    assert list(named_in({"spec": nested}, "Secret", reading=False)) == ["a"]
    assert list(named_in({"spec": {"tls": [{"secretName": "a"}]}}, "Secret", reading=False)) == []
