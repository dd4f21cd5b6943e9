"""The rules that judge one object of a project by its content, whoever wrote that: Git, or what fills it.

One place, so that an object is judged when its manifest is read and again when its fields are filled by the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentk.apply.rules.confine import refuse_place
from agentk.apply.rules.own import refuse_account, refuse_aggregated, refuse_binding, refuse_own
from agentk.apply.rules.own_inventory import refuse_inventory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.bounds import Bounds
    from agentk.apply.model import Refusal
    from agentlink.refs import ObjectRef


def refuse_manifest(ref: ObjectRef, manifest: Mapping[str, Any], bounds: Bounds) -> Refusal | None:
    """Return why a project may not have this object, None when it may."""
    labels = manifest["metadata"].get("labels")
    labels = labels if isinstance(labels, dict) else {}
    return (
        refuse_place(ref, bounds.allowed_namespaces)
        or refuse_own(ref, bounds.own)
        or refuse_account(ref, manifest, bounds.own)
        or refuse_binding(ref, manifest, bounds.own)
        or refuse_aggregated(ref, labels, bounds.own)
        or refuse_inventory(ref, labels, bounds.inventory_id)
    )
