"""Whose ownership becomes ours, so that removing a field from Git removes it from the cluster.

Kubernetes removes a field that an applier no longer sends only when nobody else holds it. Whoever moves from kubectl to
Git leaves kubectl's claim behind on every field, for ever. So what kubectl *applied* is taken over as ours: what of it
is not in Git then goes, as another ``kubectl apply`` would have it. What kubectl created or edited by hand, and what
stands for nobody in particular, gives up only the fields that we hold too: the rest was never declared anywhere.

GitLab's agentk 15 and 16 applied under the very name that we use, and so needs nothing; before that it applied as
kubectl does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply import fieldsets, managers
from agentk.apply.names import FIELD_MANAGER, LEFT_MANAGER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.managers import Entry

FORMER_APPLIERS: Final = frozenset({"kubectl", "kubectl-last-applied"})
"""Managers of ``kubectl apply --server-side``."""

_CLIENT_SIDE: Final = "kubectl-client-side-apply"
_LAST_APPLIED: Final = "f:kubectl.kubernetes.io/last-applied-configuration"
"""Marks what was applied on the client's side by those (cli-utils, old kubectl) that call themselves kubectl always."""

_BY_HAND: Final = frozenset(
    {
        "before-first-apply",
        "kubectl",
        "kubectl-annotate",
        "kubectl-create",
        "kubectl-edit",
        "kubectl-label",
        "kubectl-patch",
        "kubectl-replace",
        "kubectl-run",
        "kubectl-set",
        LEFT_MANAGER,
    }
)
"""Managers whose share in our fields ends when we apply them. ``before-first-apply`` holds even what was defaulted."""


def is_applied_by_kubectl(entry: Entry) -> bool:
    """Tell whether an entry's fields are declared in a file that kubectl, or GitLab's agent in its ways, applied."""
    if entry.get("subresource"):
        return False
    manager = entry.get("manager")
    if entry.get("operation") == managers.APPLY:
        return manager in FORMER_APPLIERS
    if manager == _CLIENT_SIDE:
        return True
    metadata = managers.fields_of(entry).get("f:metadata", {})
    return manager == "kubectl" and _LAST_APPLIED in metadata.get("f:annotations", {})


def may_share(entry: Entry) -> bool:
    """Tell whether an entry is of those that give up what we hold too."""
    return (
        entry.get("operation") == managers.UPDATE and entry.get("manager") in _BY_HAND and not entry.get("subresource")
    )


def is_due(managed: Sequence[Entry]) -> bool:
    """Tell whether there is anything to take over; cheap for an object that only we and controllers touch."""
    if any(is_applied_by_kubectl(entry) for entry in managed):
        return True
    sharing = [entry for entry in managed if may_share(entry)]
    if not sharing:
        return False
    ours = managers.ours(managed)
    return any(fieldsets.common(managers.fields_of(entry), ours) for entry in sharing)


def take_over(managed: Sequence[Entry], api_version: str) -> list[Entry]:
    """Return the entries with kubectl's ownership made ours.

    Args:
        managed: The object's ``managedFields``.
        api_version: What ours is written in if there is none yet.
    """
    taken = [entry for entry in managed if is_applied_by_kubectl(entry)]
    ours = managers.ours(managed)
    own = next((entry for entry in managed if managers.is_ours(entry)), None)
    for entry in taken:
        ours = fieldsets.union(ours, managers.fields_of(entry))
    if own is None and taken:
        first = taken[0]
        own = {
            "manager": FIELD_MANAGER,
            "operation": managers.APPLY,
            "apiVersion": api_version,
            **({"time": first["time"]} if "time" in first else {}),
            "fieldsType": "FieldsV1",
        }
    rest: list[Entry | None] = []
    for entry in managed:
        if entry in taken or managers.is_ours(entry):
            continue
        shares = may_share(entry)
        left = fieldsets.minus(managers.fields_of(entry), fieldsets.with_holders(ours)) if shares else {}
        rest.append(managers.with_fields(entry, left) if shares else entry)
    return managers.compact([None if own is None else managers.with_fields(own, ours), *rest])
