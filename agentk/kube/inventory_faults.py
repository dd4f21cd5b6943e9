"""What is wrong with an inventory in its ConfigMaps, in words that say what to do about it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.inventory import InventoryError
from agentk.apply.names import INVENTORY_LABEL, INVENTORY_SHARDS
from agentk.kube.errors import InventoryConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.model import Refusal
    from agentk.kube.errors import KubeError
    from agentk.kube.inventory_maps import StoredMap
    from agentlink.refs import ObjectRef

SHARD: Final = "shard"
"""What follows the inventory's id in the label of a shard, so that nobody takes it for a second inventory."""

_CONFLICT: Final = 409


def anothers(head: ObjectRef, refusal: Refusal) -> InventoryError:
    """Say that an inventory is not the project's to use."""
    return InventoryError(f"ConfigMap {head.namespace}/{head.name}:", refusal.message, reason=refusal.reason)


def headless(inventory_id: str, shards: Sequence[StoredMap]) -> InventoryError:
    """Say that the first ConfigMap is gone while the others are there."""
    return InventoryError(
        f"ConfigMap {shards[0].ref.namespace}/inventory-{inventory_id}",
        f"is gone, while {len(shards)} further ones of the inventory are there; nothing is applied or pruned until it"
        f" is put back, or they are deleted too (-l {INVENTORY_LABEL}={inventory_id}.{SHARD}), which begins anew:"
        " objects in the manifests are known by their annotation, those that left them stay in the cluster",
    )


def missing(number: int, shard: ObjectRef, head: StoredMap) -> InventoryError:
    """Say that a further ConfigMap is gone which the first one lists."""
    return InventoryError(
        f"ConfigMap {shard.namespace}/{shard.name}",
        f"is missing: it is shard {number} of the inventory, and nothing is pruned until it is put back; if it is"
        f" lost, take {number} off the annotation {INVENTORY_SHARDS} of {head}, and what it named and Git does not"
        " hold stays in the cluster",
    )


def changed_since(inventory_id: str, before: StoredMap, error: KubeError) -> InventoryConflictError:
    """Say that somebody else writes the inventory."""
    message = (
        f"inventory {inventory_id}: {before} was changed or deleted by another since it was read; read it again"
        f" ({error.message})"
    )
    return InventoryConflictError(_CONFLICT, "InventoryConflict", message)
