"""Whether a project may apply an object that exists already, with cli-utils' meaning of ``inventory_policy``."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentk.apply.model import InventoryPolicy, Refusal
from agentk.apply.names import INVENTORY_LABEL, OWNING_INVENTORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.identity import Identity
    from agentk.apply.model import Live, ProjectSettings, Recorded
    from agentlink.refs import ObjectRef


_PAIR: Final = re.compile(r"(\d{1,20})-(\d{1,20})")
"""The inventory ids of an agent: its own id, and the project's."""

NOBODY: Final[Mapping[str, Identity]] = MappingProxyType({})
"""No inventory is known to be anybody's."""


def refuse_to_apply(
    live: Live | None,
    recorded: Recorded | None,
    settings: ProjectSettings,
    whose: Mapping[str, Identity] = NOBODY,
) -> Refusal | None:
    """Return why the live object is not the project's to change, None when it is.

    An object is the project's when its annotation says so, or when the annotation is gone but the inventory remembers
    this very object (its UID). A name alone in the inventory proves nothing: names are written before the first apply.
    ``whose`` are other inventories by id, as far as they are known: it changes what is said, not what is decided.
    """
    # A number may have been corrected after there was an inventory, and nobody say that it is anybody else's.
    own = {settings.inventory_id, settings.number_id or settings.inventory_id} - whose.keys()
    if live is None or live.owner == settings.inventory_id or live.owner in own:
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
        f"belongs to inventory {live.owner}{_called(whose.get(live.owner))}, not to {settings.inventory_id};"
        f" {_remedy(live.ref, live.owner, whose.get(live.owner), settings)}",
    )


def _called(identity: Identity | None) -> str:
    return f", of {identity}" if identity is not None else ""


def _remedy(ref: ObjectRef, owner: str, identity: Identity | None, settings: ProjectSettings) -> str:
    """Say what to do about an object of another inventory, without taking it from a project that goes on."""
    if identity is not None and identity.project != settings.path:
        return (
            "remove it from one of the two projects; if they are one that was renamed or moved, stop"
            f" kas and run `kas project rename {identity.project} {settings.path}`"
        )
    pair = _PAIR.fullmatch(owner)
    same = (
        f"register the agent with the id that it had (`kas agent create --id {pair[1]}`), and set"
        f" git.projects.{settings.path}.id: {pair[2]} in kas.yaml"
        if pair
        else ""
    )
    if identity is not None and identity != settings.identity:
        return f"remove it from one of the two agents; if this one takes that one's place, {same}"
    if identity is not None:
        return f"it is this project's own, under another number: {same}" if same else "it is this project's own"
    namespace = f" --namespace {ref.namespace}" if ref.namespace else ""
    kind = f"{ref.kind}.{ref.group}" if ref.group else ref.kind
    taken = (
        f"if no project has it any more, `kubectl annotate{namespace} --overwrite {kind} {ref.name}"
        f" {OWNING_INVENTORY}={settings.inventory_id}`"
    )
    again = f"if it is this project's from before kas or the agent was set up anew, {same}; " if same else ""
    return f"if another project has it, remove it from one of the two; {again}{taken}"
