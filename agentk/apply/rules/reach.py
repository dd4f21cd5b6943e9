"""Which other objects a project's object may wait for, and take fields from.

A project reaches its own objects: those of the revision, and those in the namespaces that its configuration names.
Whatever is refused here is refused by its name alone, so that nobody learns whether it exists. What is read is looked
at once more (``refuse_source``), for a name in a revision makes nobody's object the project's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentk.apply.jsonpath import parse
from agentk.apply.model import Refusal
from agentk.apply.names import INVENTORY_LABEL, OWNING_INVENTORY
from agentk.apply.needs import home_of
from agentk.apply.rules.own import refuse_own
from agentk.apply.rules.own_inventory import is_inventory
from agentk.apply.rules.secretive import holds_secrets, is_secret

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from agentk.apply.bounds import Bounds
    from agentk.apply.model import Mutation, Ordering
    from agentlink.refs import ObjectRef

_SECRET_FIELDS: Final = frozenset({"data", "stringData"})


def refuse_reach(ref: ObjectRef, ordering: Ordering, among: Container[ObjectRef], bounds: Bounds) -> Refusal | None:
    """Return why an object may not be applied for what its annotations name, None when it may.

    Args:
        ref: The object.
        ordering: What its annotations say.
        among: The objects of the revision.
        bounds: The project's.
    """
    for one in ordering.mutations:
        refusal = _refuse_named(one.source, among, bounds) or refuse_target(ref, one, bounds)
        if refusal is not None:
            return refusal
    if bounds.allowed_namespaces:
        for needed in ordering.depends_on:
            if needed.namespace not in bounds.allowed_namespaces:
                return _outside(f"depends on {needed}", bounds)
    return None


def _refuse_named(source: ObjectRef, among: Container[ObjectRef], bounds: Bounds) -> Refusal | None:
    if bounds.allowed_namespaces and source.namespace not in bounds.allowed_namespaces:
        return _outside(f"takes a field from {source}", bounds)
    if refuse_own(source, bounds.own) or is_inventory(source, bounds.inventory_id):
        return Refusal("SourceRefused", f"takes a field from {source}, which is agentk's own")
    if source in among:
        return None
    if is_secret(source) and home_of(source.namespace) in bounds.own.refs:
        return Refusal("SourceRefused", f"takes a field from {source}, which is in agentk's own namespace")
    if bounds.allowed_namespaces:
        return None
    return Refusal(
        "SourceRefused",
        f"takes a field from {source}, which is not in the manifests; a source is an object of the same revision, or,"
        " in a project with allowed_namespaces, in one of these",
    )


def refuse_target(ref: ObjectRef, mutation: Mutation, bounds: Bounds, *, from_secret: bool = False) -> Refusal | None:
    """Return why a Secret's value may not go where a substitution puts it, None where it may or is none.

    Args:
        ref: The object that is filled.
        mutation: The substitution.
        bounds: The project's.
        from_secret: Whether the source, if no Secret itself, was filled from one.
    """
    if bounds.secrets_anywhere or not (from_secret or is_secret(mutation.source)):
        return None
    if is_secret(ref) and parse(mutation.target_path)[0] in _SECRET_FIELDS:
        return None
    holds = "" if is_secret(mutation.source) else ", which holds a Secret's value,"
    return Refusal(
        "SourceRefused",
        f"takes a field from {mutation.source}{holds} into {mutation.target_path}; what is in a Secret goes into data"
        " or stringData of a Secret alone, unless the configuration has mutation_from_secrets: any",
    )


def refuse_source(source: ObjectRef, document: Mapping[str, Any], bounds: Bounds) -> Refusal | None:
    """Return why a source that was read is not taken; one that is not there and one that is another's read the same.

    Args:
        source: Its name, which ``refuse_reach`` has let pass.
        document: The object, empty where there is none.
        bounds: The project's.
    """
    metadata = document.get("metadata") or {}
    near = source.namespace in bounds.allowed_namespaces
    taken = near or (metadata.get("annotations") or {}).get(OWNING_INVENTORY) == bounds.inventory_id
    if metadata and taken and INVENTORY_LABEL not in (metadata.get("labels") or {}):
        return None
    where = "does not exist" if near else "the project does not have in the cluster"
    return Refusal("DependencyNotFound", f"takes a field from {source}, which {where}")


def is_tainted(source: ObjectRef, document: Mapping[str, Any]) -> bool:
    """Tell whether what is taken from a source may be a Secret's value."""
    return is_secret(source) or holds_secrets((document.get("metadata") or {}).get("annotations") or {}, source)


def _outside(what: str, bounds: Bounds) -> Refusal:
    return Refusal(
        "OutsideAllowedNamespaces",
        f"{what}, and the project may only reach objects in {', '.join(bounds.allowed_namespaces)}; name one there, or"
        " extend allowed_namespaces",
    )
