"""Which inventory is a project's: the one that says so in sealed words, and only then the one with its number.

Numbers come from kas' database, which may be lost; an inventory that says that it is another project's is never used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.apply.identity import Claim, Identity

ANOTHERS = "InventoryOfAnother"
"""The reason of a project whose number is another one's in the cluster."""


def choose(claims: Iterable[Claim], own_id: str, identity: Identity) -> str | Refusal:
    """Return the id of the inventory that a project goes on with, or makes; or why nobody can tell.

    Args:
        claims: The inventories in the namespace of the project's.
        own_id: The id that kas gives it now.
        identity: Who it is.
    """
    by_id = {claim.inventory_id: claim for claim in claims}
    genuine = [one for one in by_id.values() if one.genuine and one.inventory_id not in identity.ceded]
    mine = sorted(one.inventory_id for one in genuine if one.words == identity)
    if not mine:
        known = [replace(identity, project=path) for path in identity.former]
        mine = sorted(one.inventory_id for one in genuine if one.words in known)
    if own_id in mine:
        return own_id
    if len(mine) > 1:
        return Refusal(
            "InventoryAmbiguous",
            f"the inventories {', '.join(mine)} all say that they are of {identity}, and none of them has the id"
            f" {own_id}; delete the ConfigMaps inventory-<id> of those that are not its own, and nothing is applied or"
            " pruned until then",
        )
    if mine:
        return mine[0]
    return refuse_words(by_id.get(own_id), identity) or own_id


def refuse_words(claim: Claim | None, identity: Identity) -> Refusal | None:
    """Return why an inventory is not to be used under its number, None where it does not say that it is another's.

    The path decides: an agent's id is drawn at random or chosen by a person, so that one and the same is no accident.
    """
    if claim is None or claim.words is None or claim.words.project in {identity.project, *identity.former}:
        return None
    return Refusal(
        ANOTHERS,
        f"inventory {claim.inventory_id} says that it is of {claim.words}, not of project {identity.project}; nothing"
        " is applied or pruned. If an id is set for one of the two in kas.yaml (git.projects), set the one that GitLab"
        f" shows on the project's page; if {claim.words.project} is the same project under its earlier path, stop kas"
        f" and run `kas project rename {claim.words.project} {identity.project}`",
    )
