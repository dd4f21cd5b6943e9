"""What a project's objects may be, and what they may take fields from: what rules need of a project and its agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentk.apply.rules.own import NOTHING_OWN, OwnObjects


@dataclass(frozen=True, slots=True)
class Bounds:
    """One project's bounds.

    ``allowed_namespaces``, where not empty, are all that it may have objects in, depend on and take fields from.
    ``secrets_anywhere``: a Secret's value may be filled into objects of other kinds.
    """

    inventory_id: str = ""
    allowed_namespaces: tuple[str, ...] = ()
    own: OwnObjects = NOTHING_OWN
    secrets_anywhere: bool = False


CLOSED: Final = Bounds()
"""Of nobody: nothing belongs to it, and nothing may be taken from anywhere."""
