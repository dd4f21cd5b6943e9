"""Resources whose CustomResourceDefinition is gone went with it: the API server deletes them first.

Their kind is not served then, which alone proves nothing: that of an aggregated API that is down is not either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.model import Live
    from agentlink.refs import ObjectRef

_DEFINITION: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")


def gone_definitions(left: Iterable[ObjectRef], live: Mapping[ObjectRef, Live]) -> frozenset[str]:
    """Return the names, ``<plural>.<group>``, of the definitions that left Git and do not exist any more."""
    return frozenset(ref.name for ref in left if (ref.group, ref.kind) == _DEFINITION and ref not in live)


def went_along(ref: ObjectRef, definitions: frozenset[str]) -> bool:
    """Tell whether an object of a kind that is not served was of one of these definitions.

    The kind's plural is not known any more. One that is formed against the rules is not recognised, and its objects
    are taken for existing.
    """
    if not definitions:
        return False
    kind = ref.kind.lower()
    plurals = {kind, f"{kind}s", f"{kind}es", f"{kind.removesuffix('y')}ies"}
    return any(f"{plural}.{ref.group}" in definitions for plural in plurals)
