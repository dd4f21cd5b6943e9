from __future__ import annotations

import pytest

from agentk.apply.model import Kind
from agentk.health.rules import Status, assess, needs_status

CURRENT, IN_PROGRESS, FAILED, TERMINATING, _, _ = Status
Fields = dict[str, object]


def condition(kind: str, status: str = "True", reason: str = "", message: str = "", **more: object) -> Fields:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def obj(
    api_version: str, kind: str, spec: Fields | None = None, status: Fields | None = None, **metadata: object
) -> Fields:
    made: Fields = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "generation": 2, **metadata}}
    if spec is not None:
        made["spec"] = spec
    if status is not None:
        made["status"] = status
    return made


DONE = condition("Progressing", reason="NewReplicaSetAvailable")
AVAILABLE = condition("Available")
ROLLED_OUT: Fields = {
    "observedGeneration": 2,
    "replicas": 3,
    "updatedReplicas": 3,
    "readyReplicas": 3,
    "availableReplicas": 3,
    "conditions": [AVAILABLE, DONE],
}
THREE: Fields = {"replicas": 3, "progressDeadlineSeconds": 600}


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({}, CURRENT, "3 of 3"),
        ({"observedGeneration": 1}, IN_PROGRESS, "generation 2 is not observed"),
        ({"replicas": 2}, IN_PROGRESS, "2 of 3 created"),
        ({"updatedReplicas": 1}, IN_PROGRESS, "1 of 3 updated"),
        ({"replicas": 4}, IN_PROGRESS, "remain"),
        ({"availableReplicas": 2}, IN_PROGRESS, "2 of 3 available"),
        ({"readyReplicas": 2}, IN_PROGRESS, "2 of 3 ready"),
        ({"conditions": [AVAILABLE]}, IN_PROGRESS, "new ReplicaSet"),
        ({"conditions": [DONE, condition("Available", "False")]}, IN_PROGRESS, "not available"),
        (
            {"conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded", "rs has timed out")]},
            FAILED,
            "rs has timed out",
        ),
        ({"conditions": "nonsense", "replicas": "3"}, IN_PROGRESS, "0 of 3 created"),
    ],
)
def test_a_deployment_is_current_once_every_replica_is_new_and_available(
    changes: Fields, status: Status, says: str
) -> None:
    health = assess(obj("apps/v1", "Deployment", THREE, ROLLED_OUT | changes))
    assert health.status is status
    assert says in health.message


def test_a_deployment_that_no_controller_has_seen_is_in_progress() -> None:
    assert assess(obj("apps/v1", "Deployment", THREE)).status is IN_PROGRESS
    assert assess(obj("apps/v1", "Deployment", {"replicas": 0, "progressDeadlineSeconds": 600})).status is IN_PROGRESS


def test_a_deployment_scaled_to_nothing_is_current() -> None:
    status: Fields = {"observedGeneration": 2, "conditions": [AVAILABLE, DONE]}
    assert assess(obj("apps/v1", "Deployment", THREE | {"replicas": 0}, status)).status is CURRENT


def test_a_deployment_without_deadline_needs_no_progressing_condition() -> None:
    spec: Fields = {"replicas": 3, "progressDeadlineSeconds": 2147483647}
    assert assess(obj("apps/v1", "Deployment", spec, ROLLED_OUT | {"conditions": [AVAILABLE]})).status is CURRENT


def test_a_paused_deployment_says_so() -> None:
    health = assess(obj("apps/v1", "Deployment", THREE | {"paused": True}, ROLLED_OUT | {"updatedReplicas": 0}))
    assert health.status is IN_PROGRESS
    assert "paused" in health.message


PARTITION_2: Fields = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
STATEFUL: Fields = {
    "observedGeneration": 2,
    "replicas": 3,
    "readyReplicas": 3,
    "currentReplicas": 3,
    "updatedReplicas": 3,
    "currentRevision": "x-1",
    "updateRevision": "x-1",
}


@pytest.mark.parametrize(
    ("spec", "changes", "status"),
    [
        ({}, {}, CURRENT),
        ({}, {"replicas": 1}, IN_PROGRESS),
        ({}, {"readyReplicas": 2}, IN_PROGRESS),
        ({}, {"replicas": 5}, IN_PROGRESS),
        ({}, {"currentReplicas": 1}, IN_PROGRESS),
        ({}, {"updateRevision": "x-2"}, IN_PROGRESS),
        ({"updateStrategy": {"type": "OnDelete"}}, {"updatedReplicas": 0, "currentReplicas": 0}, CURRENT),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {"updatedReplicas": 1, "currentReplicas": 2},
            CURRENT,
        ),
        ({"updateStrategy": {"rollingUpdate": {"partition": 1}}}, {"updatedReplicas": 1}, IN_PROGRESS),
    ],
)
def test_a_stateful_set_is_current_once_its_replicas_have_the_newest_revision(
    spec: Fields, changes: Fields, status: Status
) -> None:
    assert assess(obj("apps/v1", "StatefulSet", {"replicas": 3} | spec, STATEFUL | changes)).status is status


DAEMONS: Fields = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 2,
    "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
    "numberReady": 2,
}


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({}, DAEMONS, CURRENT),
        ({}, DAEMONS | {"currentNumberScheduled": 1}, IN_PROGRESS),
        ({}, DAEMONS | {"updatedNumberScheduled": 1}, IN_PROGRESS),
        ({"updateStrategy": {"type": "OnDelete"}}, DAEMONS | {"updatedNumberScheduled": 1}, CURRENT),
        ({}, DAEMONS | {"numberAvailable": 1}, IN_PROGRESS),
        ({}, DAEMONS | {"numberReady": 1}, IN_PROGRESS),
        ({}, {}, IN_PROGRESS),
        ({}, {"observedGeneration": 2}, CURRENT),
    ],
)
def test_a_daemon_set_is_current_once_every_node_has_a_new_available_pod(
    spec: Fields, status: Fields, expected: Status
) -> None:
    assert assess(obj("apps/v1", "DaemonSet", spec, status)).status is expected


REPLICAS: Fields = {
    "observedGeneration": 2,
    "replicas": 2,
    "fullyLabeledReplicas": 2,
    "availableReplicas": 2,
    "readyReplicas": 2,
}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, CURRENT),
        ({"availableReplicas": 1}, IN_PROGRESS),
        ({"replicas": 3}, IN_PROGRESS),
        ({"conditions": [condition("ReplicaFailure", message="exceeded quota")]}, IN_PROGRESS),
    ],
)
def test_a_replica_set_is_current_once_every_replica_is_available(changes: Fields, status: Status) -> None:
    assert assess(obj("apps/v1", "ReplicaSet", {"replicas": 2}, REPLICAS | changes)).status is status


def waiting(reason: str) -> Fields:
    return {"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason}}}]}


@pytest.mark.parametrize(
    ("status", "expected", "says"),
    [
        ({"phase": "Running", "conditions": [condition("Ready")]}, CURRENT, "ready"),
        ({"phase": "Running", "conditions": [condition("Ready", "False")]}, IN_PROGRESS, "not ready"),
        ({"phase": "Running"} | waiting("CrashLoopBackOff"), FAILED, "app"),
        ({"phase": "Pending"} | waiting("ImagePullBackOff"), IN_PROGRESS, "app waits: ImagePullBackOff"),
        ({"phase": "Pending"} | waiting("ContainerCreating"), IN_PROGRESS, "Pending"),
        (
            {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", "0/3 nodes")]},
            IN_PROGRESS,
            "0/3 nodes",
        ),
        ({"phase": "Succeeded"}, CURRENT, "completed"),
        ({"phase": "Failed", "message": "node is low on memory"}, FAILED, "low on memory"),
        ({}, IN_PROGRESS, "not seen"),
    ],
)
def test_a_pod_is_current_when_it_is_ready_or_ended_well(status: Fields, expected: Status, says: str) -> None:
    health = assess(obj("v1", "Pod", {}, status))
    assert health.status is expected
    assert says in health.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, IN_PROGRESS),
        ({"startTime": "2026-11-21T10:00:00Z", "active": 1}, CURRENT),
        ({"startTime": "t", "conditions": [condition("Complete")]}, CURRENT),
        ({"startTime": "t", "conditions": [condition("Failed", reason="BackoffLimitExceeded")]}, FAILED),
        ({"startTime": "t", "conditions": [condition("FailureTarget", reason="BackoffLimitExceeded")]}, FAILED),
        ({"conditions": [condition("Suspended")]}, CURRENT),
        ({"startTime": "t", "conditions": [condition("Suspended", "False")]}, CURRENT),
    ],
)
def test_a_job_is_current_when_it_runs_and_failed_when_it_gave_up(status: Fields, expected: Status) -> None:
    assert assess(obj("batch/v1", "Job", {"completions": 2}, status)).status is expected


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "status", "expected"),
    [
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Bound"}, CURRENT),
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Pending"}, IN_PROGRESS),
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Lost"}, FAILED),
        ("v1", "Service", {"type": "ClusterIP"}, {}, CURRENT),
        ("v1", "Service", {"type": "LoadBalancer"}, {}, IN_PROGRESS),
        ("v1", "Service", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, {}, CURRENT),
        ("policy/v1", "PodDisruptionBudget", {}, {"observedGeneration": 2}, CURRENT),
        ("policy/v1", "PodDisruptionBudget", {}, {}, IN_PROGRESS),
        ("v1", "Namespace", {}, {"phase": "Active"}, CURRENT),
        ("v1", "Namespace", {}, {"phase": "Terminating"}, IN_PROGRESS),
        ("batch/v1", "CronJob", {}, {}, CURRENT),
        ("v1", "ConfigMap", None, None, CURRENT),
        ("apiregistration.k8s.io/v1", "APIService", {}, {"conditions": [condition("Available")]}, CURRENT),
        ("apiregistration.k8s.io/v1", "APIService", {}, {"conditions": [condition("Available", "False")]}, IN_PROGRESS),
        ("apiregistration.k8s.io/v1", "APIService", {}, {}, IN_PROGRESS),
    ],
)
def test_other_kinds_are_current_when_they_can_be_used(
    api_version: str, kind: str, spec: Fields | None, status: Fields | None, expected: Status
) -> None:
    assert assess(obj(api_version, kind, spec, status)).status is expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], IN_PROGRESS),
        ([condition("NamesAccepted"), condition("Established", "False", "Installing")], IN_PROGRESS),
        ([condition("NamesAccepted"), condition("Established")], CURRENT),
        ([condition("NamesAccepted", "False", "MultipleNamesNotAllowed"), condition("Established", "False")], FAILED),
        ([condition("NamesAccepted"), condition("Established", "False", "NotAccepted")], FAILED),
    ],
)
def test_a_crd_is_current_when_its_kind_is_served(conditions: list[Fields], expected: Status) -> None:
    crd = obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, {"conditions": conditions})
    assert assess(crd).status is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, CURRENT),
        ({"conditions": [condition("Ready")]}, CURRENT),
        ({"conditions": [condition("Ready", "False", message="no quorum")]}, IN_PROGRESS),
        ({"conditions": [condition("Ready", "Unknown")]}, IN_PROGRESS),
        ({"conditions": [condition("Ready", observedGeneration=1)]}, IN_PROGRESS),
        ({"conditions": [condition("Ready", observedGeneration=2)]}, CURRENT),
        ({"conditions": [condition("Available")]}, CURRENT),
        ({"conditions": [condition("Available", "False", message="no quorum")]}, IN_PROGRESS),
        ({"conditions": [condition("Available", observedGeneration=1)]}, IN_PROGRESS),
        ({"conditions": [condition("Available", "False"), condition("Ready")]}, CURRENT),
        ({"conditions": [condition("Reconciling"), condition("Ready")]}, IN_PROGRESS),
        ({"conditions": [condition("Stalled", message="bad URL"), condition("Ready", "False")]}, FAILED),
        ({"conditions": [condition("Stalled", "False"), condition("Ready")]}, CURRENT),
        ({"observedGeneration": 1}, IN_PROGRESS),
        ({"conditions": {"not": "a list"}}, CURRENT),
    ],
)
def test_a_custom_resource_is_judged_by_its_conditions(status: Fields | None, expected: Status) -> None:
    assert assess(obj("example.com/v1", "Widget", {}, status)).status is expected


def test_an_object_on_its_way_out_names_its_finalizers() -> None:
    health = assess(
        obj("v1", "ConfigMap", deletionTimestamp="2026-11-21T10:00:00Z", finalizers=["example.com/keep", "other"])
    )
    assert health.status is TERMINATING
    assert "example.com/keep, other" in health.message


@pytest.mark.parametrize("nonsense", [{}, {"metadata": 3, "status": "x"}, {"apiVersion": None, "kind": []}])
def test_nonsense_is_judged_without_an_error(nonsense: Fields) -> None:
    assert assess(nonsense).status is CURRENT


@pytest.mark.parametrize(
    ("group", "kind", "needed"),
    [
        ("", "ConfigMap", False),
        ("", "Secret", False),
        ("", "Namespace", False),
        ("", "Service", False),
        ("rbac.authorization.k8s.io", "ClusterRole", False),
        ("networking.k8s.io", "NetworkPolicy", False),
        ("batch", "CronJob", False),
        ("batch", "Job", True),
        ("", "Pod", True),
        ("apps", "Deployment", True),
        ("apiextensions.k8s.io", "CustomResourceDefinition", True),
        ("example.com", "Widget", True),
        ("gateway.networking.k8s.io", "Gateway", True),
    ],
)
def test_only_kinds_whose_status_says_something_need_it(group: str, kind: str, *, needed: bool) -> None:
    assert needs_status(Kind(group, "v1", kind, "x", namespaced=True)) is needed
