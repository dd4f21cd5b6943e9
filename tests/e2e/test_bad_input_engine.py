"""Objects that Git holds and the cluster cannot take: each is named with cause and remedy, the others are applied."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.kube import ApiError
from tests.support.manifests import config_map, deployment
from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

NAMES = ("wrong", "exported", "refused", "neighbour")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MEBIBYTE = 1 << 20
TAG = secrets.token_hex(3)
GROUP = f"later-{TAG}.test.agentk.example"


@pytest.fixture(scope="module")
def projects(
    tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster, kube: Kube, namespace: str
) -> Iterator[dict[str, Driven]]:
    """One agent, and for every test a manifest project of its own."""
    with installed(tmp_path_factory.mktemp("engine"), control_plane.kubeconfig) as installation:
        yield drive(installation, kube, namespace, agent="main", projects=tuple(f"group/{name}" for name in NAMES))


@pytest.fixture
def definition(kube: Kube) -> Iterator[dict[str, Any]]:
    """A CustomResourceDefinition that the test may create."""
    names = {"kind": "Later", "listKind": "LaterList", "plural": "laters", "singular": "later"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    yield {"metadata": {"name": f"laters.{GROUP}"}, "spec": spec}
    kube.delete(f"{DEFINITIONS}/laters.{GROUP}")


def written(api_version: str, kind: str, name: str, **content: object) -> str:
    """Return a manifest; JSON is YAML."""
    metadata = content.pop("metadata", {})
    assert isinstance(metadata, dict)
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}, **content})


def told(project: Driven) -> dict[str, tuple[str, str]]:
    """Return reason and message of each object of a project, by its name."""
    tree = project.kas.get("tree", agent=project.agent)
    objects = next(found["objects"] for found in tree["projects"] if found["project"] == project.project)
    return {found["object"]["name"]: (found["reason"], found["message"]) for found in objects}


REVIEW = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}

WRONG = {
    "later": (written(f"{GROUP}/v1", "Later", "later"), "UnknownKind", "install its CustomResourceDefinition"),
    "homeless": (config_map("homeless", namespace=f"nowhere-{TAG}"), "NamespaceNotFound", "add it to the manifests"),
    "large": (config_map("large", "x" * (MEBIBYTE + 1)), "ObjectTooLarge", "split it"),
    "huge": (deployment("huge").replace("nginx:1.27", f"nginx:{'x' * 2 * MEBIBYTE}"), "ObjectTooLarge", "split it"),
    "Bad_Name": (config_map("Bad_Name"), "Invalid", "metadata.name"),
    "labelled": (
        written("v1", "ConfigMap", "labelled", metadata={"labels": {"a": "not valid!"}}),
        "Invalid",
        "metadata.labels",
    ),
    "event": (written("v1", "Event", "event", involvedObject={}), "KindNotAppliable", "remove"),
    "bound": (written("v1", "Binding", "bound", target={"name": "node"}), "KindNotAppliable", "remove"),
    "review": (
        written("authorization.k8s.io/v1", "SelfSubjectAccessReview", "review", **REVIEW),
        "KindNotAppliable",
        "",
    ),
    "evicted": (written("policy/v1", "Eviction", "evicted"), "UnknownKind", ""),
}


def test_what_cannot_be_applied_is_named_with_cause_and_remedy_and_the_rest_is_applied(
    projects: dict[str, Driven], kube: Kube, definition: dict[str, Any]
) -> None:
    project = projects["wrong"]
    project.wait("healthy")
    bad = project.push(
        {
            **{f"manifests/wrong/{name}.yaml": text for name, (text, _, _) in WRONG.items()},
            "manifests/right.yaml": config_map("right"),
        }
    )
    sync = project.wait("failed", commit=bad)
    assert sync["counts"]["failed"] == len(WRONG)
    assert project.value("right") == "1"
    projects["neighbour"].goes_on()
    said = told(project)
    for name, (_, reason, words) in WRONG.items():
        assert said[name][0] == reason, said[name]
        assert words in said[name][1]

    # Without a further commit: what was missing appears.
    kube.create(DEFINITIONS, definition)
    later = f"/apis/{GROUP}/v1/namespaces/{project.namespace}/laters/later"
    wait_until(lambda: _found(kube, later), what="the object whose kind appeared is applied", within=60)

    good = project.repository.push_removal("manifests/wrong")
    project.kas.webhook(project.project)
    project.wait("healthy", commit=good)
    assert project.value("right") == "1"


def _found(kube: Kube, path: str) -> bool:
    try:
        return kube.find(path) is not None
    except ApiError as error:
        if error.status == 429:  # the definition has only just come
            return False
        raise


def test_what_somebody_exported_is_applied_without_what_only_the_server_writes(projects: dict[str, Driven]) -> None:
    project = projects["exported"]
    project.wait("healthy")
    exported = {
        "uid": "00000000-0000-0000-0000-000000000000",
        "resourceVersion": "1",
        "generation": 7,
        "creationTimestamp": "2020-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
    }
    spec = {"selector": {"app": "exported"}, "ports": [{"port": 80}]}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    commit = project.push(
        {"manifests/service.yaml": written("v1", "Service", "exported", metadata=exported, spec=spec, status=status)}
    )
    project.wait("healthy", commit=commit)
    found = project.kube.get(f"/api/v1/namespaces/{project.namespace}/services/exported")
    assert found["metadata"]["uid"] != exported["uid"]
    assert found["status"] == {"loadBalancer": {}}
    # Nor does it fail once somebody has touched the object.
    project.kube.patch(
        f"/api/v1/namespaces/{project.namespace}/services/exported", {"metadata": {"labels": {"a": "b"}}}
    )
    spec["ports"] = [{"port": 81}]
    commit = project.push(
        {"manifests/service.yaml": written("v1", "Service", "exported", metadata=exported, spec=spec, status=status)}
    )
    project.wait("healthy", commit=commit)


def test_what_the_cluster_refuses_is_said_with_its_own_words_and_is_applied_when_it_may(
    projects: dict[str, Driven], kube: Kube, namespace: str
) -> None:
    project = projects["refused"]
    project.wait("healthy")
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    hooks = f"{ADMISSION}/validatingwebhookconfigurations"
    policies, bindings = f"{ADMISSION}/validatingadmissionpolicies", f"{ADMISSION}/validatingadmissionpolicybindings"
    name = f"refused-{TAG}.example.com"
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}

    def rules(group: str, resource: str) -> list[dict[str, list[str]]]:
        return [{"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [resource]}]

    hook = {
        "name": name,
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": rules("", "services"),
        "namespaceSelector": here,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    validation = {"expression": "false", "message": "no accounts here, please"}
    policy = {
        "matchConstraints": {"resourceRules": rules("", "serviceaccounts")},
        "failurePolicy": "Fail",
        "validations": [validation],
    }
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    kube.create(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"count/roles.rbac.authorization.k8s.io": "0"}}})
    kube.create(hooks, {"metadata": {"name": name}, "webhooks": [hook]})
    kube.create(policies, {"metadata": {"name": name}, "spec": policy})
    kube.create(bindings, {"metadata": {"name": name}, "spec": bound})
    try:
        _wait_in_force(kube, namespace)
        commit = project.push(
            {
                "manifests/role.yaml": written("rbac.authorization.k8s.io/v1", "Role", "one-too-many", rules=[]),
                "manifests/account.yaml": written("v1", "ServiceAccount", "denied"),
                "manifests/service.yaml": written("v1", "Service", "hooked", spec={"ports": [{"port": 80}]}),
                "manifests/beside.yaml": config_map("beside"),
            }
        )
        project.wait("failed", commit=commit)
        said = told(project)
        assert project.value("beside") == "1"
        assert said["one-too-many"][0] == "QuotaExceeded"
        assert "exceeded quota: few" in said["one-too-many"][1]
        assert said["denied"][0] == "AdmissionDenied"
        assert "no accounts here, please" in said["denied"][1]
        assert said["hooked"][0] == "AdmissionUnavailable"
        assert name in said["hooked"][1]
        projects["neighbour"].goes_on()
    finally:
        kube.delete(f"{quotas}/few")
        kube.delete(f"{hooks}/{name}")
        kube.delete(f"{bindings}/{name}")
        kube.delete(f"{policies}/{name}")
    project.wait("healthy", commit=commit)


def _wait_in_force(kube: Kube, namespace: str) -> None:
    """Wait until the quota is counted, and webhook and policy are asked."""

    def refused(collection: str, body: dict[str, Any]) -> bool:
        probe = f"probe-{secrets.token_hex(3)}"
        try:
            kube.create(f"/api/v1/namespaces/{namespace}/{collection}", {"metadata": {"name": probe}, **body})
        except ApiError:
            return True
        kube.delete(f"/api/v1/namespaces/{namespace}/{collection}/{probe}")
        return False

    quota = f"/api/v1/namespaces/{namespace}/resourcequotas/few"
    wait_until(lambda: "used" in kube.get(quota).get("status", {}), what="the quota is counted")
    wait_until(lambda: refused("serviceaccounts", {}), what="the policy is in force")
    wait_until(lambda: refused("services", {"spec": {"ports": [{"port": 80}]}}), what="the webhook is asked")
