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


def is_definition(ref: ObjectRef) -> bool:
    """Tell whether an object defines a kind."""
    return (ref.group, ref.kind) == _DEFINITION


def gone_definitions(left: Iterable[ObjectRef], live: Mapping[ObjectRef, Live]) -> frozenset[str]:
    """Return the names, ``<plural>.<group>``, of the definitions that left Git and do not exist any more."""
    return frozenset(ref.name for ref in left if is_definition(ref) and ref not in live)


def went_along(ref: ObjectRef, definitions: frozenset[str], plural: str = "") -> bool:
    """Tell whether an object of a kind that is not served was of one of these definitions.

    Args:
        ref: The object.
        definitions: As of ``gone_definitions``.
        plural: By which its kind was served, as far as this process has seen it; otherwise it is formed by the rules.
            One against the rules is not recognised then, and the objects are taken for existing.
    """
    if not definitions:
        return False
    if plural:
        return f"{plural}.{ref.group}" in definitions
    kind = ref.kind.lower()
    plurals = {kind, f"{kind}s", f"{kind}es", f"{kind.removesuffix('y')}ies"}
    return any(f"{plural}.{ref.group}" in definitions for plural in plurals)
