"""Deployment, StatefulSet, DaemonSet, ReplicaSet: have all replicas reached the newest template?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.health.model import Health, current, failed, in_progress
from agentk.health.rules.fields import conditions, number, section, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NO_DEADLINE: Final = 2**31 - 1
"""``progressDeadlineSeconds`` at which the Deployment controller sets no ``Progressing`` condition."""


def deployment(obj: Mapping[str, object]) -> Health:
    """A Deployment is current when every replica is new, available and ready, and the controller says so too."""
    spec, status, known = section(obj, "spec"), section(obj, "status"), conditions(obj)
    progressing = known.get("Progressing")
    if progressing and progressing.reason == "ProgressDeadlineExceeded":
        return failed(f"the progress deadline is exceeded: {progressing}")
    wanted = number(spec, "replicas", 1)
    replicas, updated = number(status, "replicas"), number(status, "updatedReplicas")
    if waits := _first_short(
        (
            (replicas, wanted, "created"),
            (updated, wanted, "updated"),
            (wanted, replicas, "of the replicas to remain"),
            (number(status, "availableReplicas"), updated, "available"),
            (number(status, "readyReplicas"), wanted, "ready"),
        )
    ):
        if spec.get("paused") is True:
            return in_progress(f"the Deployment is paused; {waits}")
        return in_progress(waits)
    has_deadline = number(spec, "progressDeadlineSeconds", _NO_DEADLINE) != _NO_DEADLINE
    if has_deadline and not (progressing and progressing.holds and progressing.reason == "NewReplicaSetAvailable"):
        return in_progress("the new ReplicaSet is not available yet")
    available = known.get("Available")
    if available is None or not available.holds:
        return in_progress("the Deployment is not available yet")
    return current(f"{replicas} of {wanted} replicas are available")


def stateful_set(obj: Mapping[str, object]) -> Health:
    """A StatefulSet is current when every replica is ready and, below the partition aside, new.

    Its controller says nothing about failure, and with ``OnDelete`` a person decides when replicas become new.
    """
    spec, status = section(obj, "spec"), section(obj, "status")
    strategy = section(spec, "updateStrategy")
    if text(strategy, "type") == "OnDelete":
        return current("replicas are replaced when somebody deletes them (OnDelete)")
    wanted = number(spec, "replicas", 1)
    replicas, updated = number(status, "replicas"), number(status, "updatedReplicas")
    if waits := _first_short(
        (
            (replicas, wanted, "created"),
            (number(status, "readyReplicas"), wanted, "ready"),
            (wanted, replicas, "of the replicas to remain"),
        )
    ):
        return in_progress(waits)
    partition = number(section(strategy, "rollingUpdate"), "partition")
    if partition:
        above = f"{updated} of {wanted - partition} replicas above the partition are updated"
        return in_progress(above) if updated < wanted - partition else current(above)
    of_current = number(status, "currentReplicas")
    if of_current < wanted or text(status, "currentRevision") != text(status, "updateRevision"):
        return in_progress(f"{of_current} of {wanted} replicas of the newest revision")
    return current(f"{replicas} of {wanted} replicas are ready")


def daemon_set(obj: Mapping[str, object]) -> Health:
    """A DaemonSet is current when each node that should has a new, available Pod."""
    status = section(obj, "status")
    if "observedGeneration" not in status:
        return in_progress("no controller has seen it yet")
    wanted = number(status, "desiredNumberScheduled")
    on_delete = text(section(obj, "spec", "updateStrategy"), "type") == "OnDelete"
    updated = wanted if on_delete else number(status, "updatedNumberScheduled")
    if waits := _first_short(
        (
            (number(status, "currentNumberScheduled"), wanted, "scheduled"),
            (updated, wanted, "updated"),
            (number(status, "numberAvailable"), wanted, "available"),
            (number(status, "numberReady"), wanted, "ready"),
        )
    ):
        return in_progress(waits)
    return current(f"runs on {wanted} nodes")


def replica_set(obj: Mapping[str, object]) -> Health:
    """A ReplicaSet is current when every replica is available."""
    failure = conditions(obj).get("ReplicaFailure")
    if failure and failure.holds:
        return in_progress(f"replicas cannot be created: {failure}")
    status = section(obj, "status")
    wanted, replicas = number(section(obj, "spec"), "replicas", 1), number(status, "replicas")
    if waits := _first_short(
        (
            (number(status, "fullyLabeledReplicas"), wanted, "labelled"),
            (number(status, "availableReplicas"), wanted, "available"),
            (number(status, "readyReplicas"), wanted, "ready"),
            (wanted, replicas, "of the replicas to remain"),
        )
    ):
        return in_progress(waits)
    return current(f"{replicas} of {wanted} replicas are available")


def _first_short(checks: Sequence[tuple[int, int, str]]) -> str:
    """Return words for the first (have, want, what) that falls short, empty when none does."""
    return next((f"{have} of {want} {what}" for have, want, what in checks if have < want), "")
