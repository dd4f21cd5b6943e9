"""Objects that left Git and must stay, because something that stays needs them.

A dependency whose dependents remain, a Namespace with an object in it that is kept, a CustomResourceDefinition whose
resources are: deleting it would break, or take along, what nobody asked to have deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import Refusal
from agentk.apply.needs import definition_of, home_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Desired, Kind, Live, Ordering
    from agentlink.refs import ObjectRef


def staying(
    leaving: Collection[ObjectRef],
    kept: Iterable[ObjectRef],
    live: Mapping[ObjectRef, Live],
    *,
    desired: Iterable[Desired],
    others: Iterable[Live],
    kinds: Kinds,
) -> dict[ObjectRef, Refusal]:
    """Find those of ``leaving`` that must stay, each with who needs it.

    Args:
        leaving: What would be deleted.
        kept: What left Git too, and stays for another reason.
        live: The objects as they are.
        desired: What Git wants.
        others: Objects of other projects.
        kinds: How kinds are served.
    """
    found = _Holding(leaving, kinds)
    for one in desired:
        found.hold(one.ref, one.ordering, one.kind)
    for other in others:
        found.hold(other.ref, other.ordering)
    # What stays needs others in turn: holding adds to the queue.
    found.queue.extend(kept)
    for ref in found.queue:
        there = live.get(ref)
        found.hold(ref, there.ordering if there is not None else None)
    return found.refusals


class _Holding:
    """Collects what is held, in ``queue`` in the order in which it was found."""

    def __init__(self, leaving: Collection[ObjectRef], kinds: Kinds) -> None:
        self._leaving = leaving
        self._kinds = kinds
        self._definitions: dict[tuple[str, str], ObjectRef | None] = {}
        self._containers = any(ref.kind in {"Namespace", "CustomResourceDefinition"} for ref in leaving)
        self.queue: list[ObjectRef] = []
        self.refusals: dict[ObjectRef, Refusal] = {}

    def hold(self, ref: ObjectRef, ordering: Ordering | None, kind: Kind | None = None) -> None:
        """Hold what an object needs that stays itself."""
        if ordering is not None:
            for needed in ordering.depends_on:
                self._keep(needed, "DependedOn", f"{ref} depends on it")
        if not self._containers:
            return
        if ref.namespace:
            self._keep(home_of(ref.namespace), "NamespaceInUse", f"{ref} is in it and stays")
        definition = self._definition(ref, kind)
        if definition is not None:
            self._keep(definition, "KindInUse", f"{ref}, which stays, is of its kind")

    def _keep(self, ref: ObjectRef, reason: str, why: str) -> None:
        if ref in self._leaving and ref not in self.refusals:
            self.refusals[ref] = Refusal(reason, f"is no longer in the manifests, and stays because {why}")
            self.queue.append(ref)

    def _definition(self, ref: ObjectRef, kind: Kind | None) -> ObjectRef | None:
        key = (ref.group, ref.kind)
        if key not in self._definitions:
            kind = kind or self._kinds.find(ref.group, ref.kind, "")
            self._definitions[key] = definition_of(kind) if kind is not None else None
        return self._definitions[key]
