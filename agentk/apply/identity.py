"""Whose an inventory is, in words: what stays the same when numbers change. Pure.

The words stand in annotations of an inventory's head. ``rules.whose`` decides what follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from agentk.apply.names import IDENTITY_SEAL, OWNING_AGENT, OWNING_CONFIGURATION, OWNING_PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.seal import Seal


@dataclass(frozen=True, slots=True)
class Identity:
    """One project on one agent: the paths of the project and of the configuration project, and the agent's name.

    ``former`` are paths that the project had before, which kas' operator or GitLab's id vouches for. ``ceded`` are
    inventories of projects that had this one's path before, and may not have said yet that they have another.
    """

    project: str
    configuration: str
    agent: str
    former: tuple[str, ...] = field(default=(), compare=False)
    ceded: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"project {self.project} of agent {self.configuration}:{self.agent}"


@dataclass(frozen=True, slots=True)
class Claim:
    """An inventory that is there, and whose its head says that it is; None where it says nothing.

    ``genuine``: agentk itself has written these words, for this inventory in this place.
    """

    inventory_id: str
    words: Identity | None = None
    genuine: bool = False


def claim_of(inventory_id: str, namespace: str, annotations: Mapping[str, str], seal: Seal | None) -> Claim:
    """Read whose an inventory says that it is.

    Args:
        inventory_id: Which inventory.
        namespace: Where it is.
        annotations: Of its head.
        seal: The inventory's; without it nothing is genuine.
    """
    if OWNING_PROJECT not in annotations:
        return Claim(inventory_id)
    configuration, agent = annotations.get(OWNING_CONFIGURATION, ""), annotations.get(OWNING_AGENT, "")
    words = Identity(annotations[OWNING_PROJECT], configuration, agent)
    written = annotations.get(IDENTITY_SEAL, "")
    return Claim(inventory_id, words, seal is not None and seal.is_sign(_said(words, namespace), written))


def annotations_of(identity: Identity, namespace: str, seal: Seal | None) -> dict[str, str | None]:
    """Return the annotations by which ``claim_of`` reads this identity; None for one that is not to be there."""
    return {
        OWNING_PROJECT: identity.project,
        OWNING_CONFIGURATION: identity.configuration,
        OWNING_AGENT: identity.agent,
        IDENTITY_SEAL: seal.sign(_said(identity, namespace)) if seal is not None else None,
    }


def _said(identity: Identity, namespace: str) -> bytes:
    return orjson.dumps((namespace, identity.project, identity.configuration, identity.agent))
