"""Whether a project may apply an object that exists already, with cli-utils' meaning of ``inventory_policy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import InventoryPolicy, Refusal
from agentk.apply.names import INVENTORY_LABEL, OWNING_INVENTORY

if TYPE_CHECKING:
    from agentk.apply.model import Live, ProjectSettings, Recorded


def refuse_to_apply(live: Live | None, recorded: Recorded | None, settings: ProjectSettings) -> Refusal | None:
    """Return why the live object is not the project's to change, None when it is.

    An object is the project's when its annotation says so, or when the annotation is gone but the inventory remembers
    this very object (its UID). A name alone in the inventory proves nothing: names are written before the first apply.
    """
    if live is None or live.owner == settings.inventory_id:
        return None
    policy = settings.inventory_policy
    if live.inventory:
        # Of another agent perhaps, whose names do not tell: ``inventory-2026-11`` may be anything.
        return Refusal(
            "InventoryRefused",
            f"exists already and is an inventory, by its label {INVENTORY_LABEL}, which agentk alone writes, whatever"
            " inventory_policy says; give the object in the manifests another name",
        )
    if live.owner is None:
        remembered = recorded is not None and recorded.uid == live.uid != ""
        if remembered or policy is not InventoryPolicy.MUST_MATCH:
            return None
        return Refusal(
            "NotInInventory",
            f"exists already and belongs to no inventory; to take it over set inventory_policy: adopt_if_no_inventory, "
            f"or annotate it with {OWNING_INVENTORY}={settings.inventory_id}",
        )
    if policy is InventoryPolicy.ADOPT_ALL:
        return None
    return Refusal(
        "OwnedByAnotherInventory",
        f"belongs to inventory {live.owner}, not to {settings.inventory_id}; remove it from one of the two, or set "
        "inventory_policy: adopt_all to take it over",
    )
