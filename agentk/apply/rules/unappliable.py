"""Kinds whose objects cannot be desired state: requests in the shape of objects, and records of what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentk.apply.model import Kind

_RECORDS: Final = frozenset({("", "Event"), ("events.k8s.io", "Event")})
"""What the API server would take, and delete again after an hour."""


def refuse_kind(kind: Kind, verbs: Collection[str]) -> Refusal | None:
    """Return why no object of this kind can be kept as Git says, None when it can.

    Args:
        kind: Which kind.
        verbs: What the API server lets one do with it; empty when that is not known, as of a kind that is yet to come.
    """
    if (kind.group, kind.kind) in _RECORDS:
        return Refusal("KindNotAppliable", "records what happened and ends by itself; remove it from the manifests")
    if verbs and "patch" not in verbs:
        return Refusal(
            "KindNotAppliable",
            f"cannot be applied: the API server offers only {', '.join(sorted(verbs))} for a {kind.kind}; "
            "remove it from the manifests",
        )
    return None
