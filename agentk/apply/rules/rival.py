"""Whether GitLab's own agentk still writes what this one writes: two of one id undo each other.

GitLab's agentk 15 and 16 elects a leader by the Lease ``agent-<id>-lock``. From 17 on it has the Lease still, and no
GitOps. A Lease and a pod are claims of whoever may make them: they count for who may write the project's inventory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REASON: Final = "GitlabAgentAtWork"

HARMLESS: Final = "agentk.io/gitops"
"""Annotation on that Lease by which somebody says that its holder does no GitOps: with the value ``none``."""

_WITHOUT_GITOPS: Final = 17
"""The first major version of GitLab's agentk that has none."""

_IMAGE: Final = re.compile(r"(?:[^@]*/)?agentk:v?(\d{1,4})\.\d")
_VERSION: Final = re.compile(r"v?(\d{1,4})\.\d")
_VERSION_LABEL: Final = "app.kubernetes.io/version"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who has the Lease ``lease`` of GitLab's agentk.

    ``identity`` is empty where nobody has it; else it is the name of a pod beside the Lease. ``pod`` is that pod's
    document, None where there is none or it may not be read. ``may_write`` tells whether its account may write the
    project's inventory; None where that cannot be told. ``harmless``: somebody has said that it does no GitOps.
    """

    namespace: str
    lease: str
    identity: str
    pod: Mapping[str, Any] | None = None
    may_write: bool | None = None
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Rival:
    """GitLab's agentk at work. ``certain``: nothing is applied beside it; else it is only told."""

    why: Refusal
    certain: bool


def judge(holder: LockHolder) -> Rival | None:
    """Return what is the matter with who has the Lease, None where it does no harm."""
    pod = holder.pod
    if not holder.identity or holder.harmless or holder.may_write is False or (pod is not None and _has_ended(pod)):
        return None
    major = _major(pod or {})
    if major is not None and major >= _WITHOUT_GITOPS:
        return None
    version = f" {major}" if major is not None else ", of a version that cannot be told,"
    where, lease = holder.namespace, holder.lease
    certain = holder.may_write is True
    held = "nothing is applied while it is" if certain else "look whether it is"
    return Rival(
        Refusal(
            REASON,
            f"GitLab's agentk{version} {'is' if certain else 'may be'} at work for this agent, and {held}, since each"
            f" undoes what the other does: pod {where}/{holder.identity} has the lease {lease}. Find its Deployment by"
            f" `kubectl --namespace {where} get deployments` and delete it, or uninstall its Helm release (`helm"
            f" --namespace {where} list`). If it does no GitOps, say so: `kubectl --namespace {where} annotate lease"
            f" {lease} {HARMLESS}=none`",
        ),
        certain,
    )


def _has_ended(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status")
    return isinstance(status, dict) and status.get("phase") in {"Succeeded", "Failed"}


def _major(pod: Mapping[str, Any]) -> int | None:
    """Return the major version of agentk that a pod runs; None where it cannot be told."""
    for image in _images(pod):
        if found := _IMAGE.match(image):
            return int(found[1])
    metadata = pod.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    told = labels.get(_VERSION_LABEL) if isinstance(labels, dict) else None
    match = _VERSION.match(told) if isinstance(told, str) else None
    return int(match[1]) if match else None


def _images(pod: Mapping[str, Any]) -> Iterator[str]:
    spec = pod.get("spec")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers if isinstance(containers, list) else ():
        image = container.get("image") if isinstance(container, dict) else None
        if isinstance(image, str):
            yield image
