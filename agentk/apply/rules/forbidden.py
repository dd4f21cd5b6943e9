"""Objects that we may not even look at. Without seeing them nothing about them is known, so nothing is done to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.model import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.resolve import Resolved
    from agentlink.refs import ObjectRef

Place = tuple[str, str, str]
"""Group, kind, and namespace; the namespace is empty for cluster-scoped kinds."""


def place_of(ref: ObjectRef) -> Place:
    """Return where an object is."""
    return (ref.group, ref.kind, ref.namespace)


def leave_out(resolved: Resolved, recorded: Iterable[ObjectRef], forbidden: Mapping[Place, str]) -> Resolved:
    """Turn objects in places that may not be looked at into failures, recorded ones that left Git included.

    Args:
        resolved: What Git wants.
        recorded: What the inventory remembers; unseen it would be taken for gone and forgotten, and so live for ever.
        forbidden: For each place the server's own words.
    """
    if not forbidden:
        return resolved
    refused = list(resolved.refused)
    wanted = set()
    for one in resolved.desired:
        wanted.add(one.ref)
        if (why := forbidden.get(place_of(one.ref))) is not None:
            refused.append(Outcome(one.ref, Result.FAILED, one.path, "Forbidden", _sentence(why)))
    refused.extend(
        Outcome(ref, Result.FAILED, reason="Forbidden", message=_sentence(why))
        for ref in recorded
        if ref not in wanted and (why := forbidden.get(place_of(ref))) is not None
    )
    desired = tuple(one for one in resolved.desired if place_of(one.ref) not in forbidden)
    return replace(resolved, desired=desired, refused=tuple(refused))


def _sentence(why: str) -> str:
    return f"agentk may not watch objects of this kind here: {why}; extend its role or remove the object from Git"
