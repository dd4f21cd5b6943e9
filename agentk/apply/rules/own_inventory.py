"""Inventories are written by agentk alone: no project may bring one from Git, or have one deleted.

An inventory that is applied from Git forgets what it owned; one that is pruned has all objects forgotten at once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Refusal
from agentk.apply.names import INVENTORY_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentlink.refs import ObjectRef

_OF_AN_AGENT: Final = re.compile(r"(\d{1,20})-\d{1,20}")
"""The inventory ids of an agent: its own id, and the project's."""


def refuse_inventory(ref: ObjectRef, labels: Mapping[str, object], inventory_id: str) -> Refusal | None:
    """Return why a manifest may not be applied, None when it is no inventory.

    Args:
        ref: The object.
        labels: Of the manifest.
        inventory_id: The project's.
    """
    if ref.kind != "ConfigMap" or ref.group:
        return None
    if INVENTORY_LABEL in labels:
        what = f"a ConfigMap with the label {INVENTORY_LABEL} is an inventory"
    elif is_inventory(ref, inventory_id):
        what = "a ConfigMap of this name is an inventory"
    else:
        return None
    return Refusal("InventoryRefused", f"{what}, which agentk alone writes; remove it from the manifests")


def is_inventory(ref: ObjectRef, inventory_id: str) -> bool:
    """Tell whether an object is, by its name, an inventory of the project, or of another one of the same agent."""
    return ref.kind == "ConfigMap" and not ref.group and _names(inventory_id).fullmatch(ref.name) is not None


@lru_cache(maxsize=1024)
def _names(inventory_id: str) -> re.Pattern[str]:
    agent = _OF_AN_AGENT.fullmatch(inventory_id)
    # An agent that was registered anew has projects under its former id, which was drawn as every id is.
    ids = rf"(?:{agent[1]}|\d{{10,12}})-\d+" if agent else re.escape(inventory_id)
    return re.compile(rf"inventory-{ids}(\.\d+)?")
