"""Objects that we may not, or cannot, even look at. Unseen nothing about them is known, so nothing is done to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Outcome, Refusal, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.model import Kind
    from agentk.apply.resolve import Resolved
    from agentlink.refs import ObjectRef

_FORBIDDEN: Final = 403
_LATER: Final = 429
_FAILED: Final = 500

Place = tuple[str, str, str]
"""Group, kind, and namespace; the namespace is empty for cluster-scoped kinds."""


def place_of(ref: ObjectRef) -> Place:
    """Return where an object is."""
    return (ref.group, ref.kind, ref.namespace)


def hidden_by(status: int) -> bool:
    """Tell whether an HTTP status keeps one kind from being seen, and says nothing of the others.

    The server refuses (403), is to be asked later (429), or failed, as it does for a kind whose own server (an
    aggregated API, a conversion webhook) is away.
    """
    return status in {_FORBIDDEN, _LATER} or status >= _FAILED


def why_hidden(status: int, reason: str, message: str) -> Refusal:
    """Say why objects cannot be seen, from what the server answered."""
    if status == _FORBIDDEN:
        remedy = "extend its role or remove the object from the manifests"
        message = f"agentk may not watch objects of this kind here: {message}; {remedy}"
        return Refusal("Forbidden", message)
    message = (
        f"objects of this kind cannot be looked at now: {message}; nothing is done to them until they can. If the kind "
        "is served by a server of its own, look at its APIService; if by a webhook that converts it, at that"
    )
    return Refusal(reason, message)


def not_served(kind: Kind) -> Refusal:
    """Say that the cluster has ceased to serve a kind that it served."""
    message = (
        f"the cluster does not serve {kind.api_version} {kind.kind} any more: install its CustomResourceDefinition or "
        "APIService again, or remove its objects from the manifests; they are applied as soon as it is served"
    )
    return Refusal("KindNotServed", message)


def leave_out(resolved: Resolved, recorded: Iterable[ObjectRef], hidden: Mapping[Place, Refusal]) -> Resolved:
    """Turn objects in places that cannot be looked at into failures, recorded ones that left Git included.

    Args:
        resolved: What Git wants.
        recorded: What the inventory remembers; unseen it would be taken for gone and forgotten, and so live for ever.
        hidden: For each place why.
    """
    if not hidden:
        return resolved
    refused = list(resolved.refused)
    wanted = set()
    for one in resolved.desired:
        wanted.add(one.ref)
        if (why := hidden.get(place_of(one.ref))) is not None:
            refused.append(Outcome(one.ref, Result.FAILED, one.path, why.reason, why.message))
    refused.extend(
        Outcome(ref, Result.FAILED, reason=why.reason, message=why.message)
        for ref in recorded
        if ref not in wanted and (why := hidden.get(place_of(ref))) is not None
    )
    desired = tuple(one for one in resolved.desired if place_of(one.ref) not in hidden)
    return replace(resolved, desired=desired, refused=tuple(refused))
