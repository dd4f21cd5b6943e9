"""How one object is applied: by force or not, and what the server's answer says about it.

When it is its turn is ``execute``'s; whom it may be taken from is decided by ``rules.conflict``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Outcome, Result
from agentk.apply.rules.conflict import refuse_to_force
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from agentk.apply.model import Apply
    from agentk.kube.objects import Applied, Objects
    from agentlink.refs import ObjectRef

_CONFLICT: Final = 409
_CLUSTER_LOST: Final = frozenset({"Unreachable", "Untrusted", "NoCredentials", "Unauthorized"})
"""Failures that are not about the object: every other one would fail the same way, each after all its retries."""


async def apply_one(objects: Objects, action: Apply, *, dry_run: bool) -> Outcome:
    """Apply one object and say what became of it.

    Raises:
        KubeError: The cluster is lost, which is nothing about this object.
    """
    desired = action.desired
    try:
        applied = await _apply_or_force(objects, action, dry_run=dry_run)
    except KubeError as error:
        return failed(error, desired.ref, desired.path)
    live = applied.live
    if applied.created:
        result = Result.CREATED
    elif live.resource_version == action.live_version and not dry_run:
        result = Result.UNCHANGED
    else:
        result = Result.CONFIGURED
    if dry_run:
        # Nothing is stored, so the version never moves; what was planned is the best that is known.
        return Outcome(desired.ref, result, desired.path, "DryRun")
    return Outcome(
        desired.ref,
        result,
        desired.path,
        digest=desired.digest,
        fingerprint=live.fingerprint or "",
        uid=live.uid,
        resource_version=live.resource_version,
        live=live,
    )


def failed(error: KubeError, ref: ObjectRef, path: str) -> Outcome:
    """Say that a request about an object failed, unless the cluster itself is lost: that is raised again."""
    if error.reason in _CLUSTER_LOST:
        raise error
    return Outcome(ref, Result.FAILED, path, error.reason, error.message)


async def _apply_or_force(objects: Objects, action: Apply, *, dry_run: bool) -> Applied:
    desired = action.desired
    try:
        return await objects.apply(desired.kind, desired.ref, desired.body, force=action.force, dry_run=dry_run)
    except KubeError as error:
        conflicts = [(one.message, one.field) for one in error.causes if one.reason == "FieldManagerConflict"]
        if error.status != _CONFLICT or not conflicts:
            raise
        refusal = refuse_to_force(conflicts, error.message)
        if refusal is not None:
            raise KubeError(error.status, refusal.reason, refusal.message) from error
    return await objects.apply(desired.kind, desired.ref, desired.body, force=True, dry_run=dry_run)
