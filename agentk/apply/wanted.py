"""What Git wants of one project: as it was resolved whole, and what small changes have made of that since. Pure.

The whole is put together only where somebody asks for it: one changed file among thousands is work for its objects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.files import NO_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.files import Files
    from agentk.apply.model import Desired, Ordering, Outcome
    from agentk.apply.resolve import Resolved
    from agentlink.refs import ObjectRef


class Wanted:
    """The newest revision's objects: resolved, and by name as they are to be applied."""

    def __init__(self) -> None:
        """Begin with no revision."""
        self._resolved: Resolved | None = None
        self._later: dict[ObjectRef, Desired] = {}
        self._files = NO_FILES
        self._by_ref: dict[ObjectRef, Desired] = {}
        self._is_entangled = False

    @property
    def by_ref(self) -> Mapping[ObjectRef, Desired]:
        """Return the objects by name, with what was done to them since they were resolved."""
        return self._by_ref

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Return what cannot be applied, whatever the cluster holds."""
        return self._resolved.refused if self._resolved is not None else ()

    @property
    def resolved(self) -> Resolved | None:
        """Return the whole as ``resolve`` gives it, None before the first; objects that came later are last."""
        resolved = self._resolved
        if resolved is not None and resolved.sources is not self._files:
            later = self._later
            desired = (*(later.pop(one.ref, one) for one in resolved.desired), *later.values())
            resolved = self._resolved = replace(resolved, desired=desired, sources=self._files)
            self._later = {}
        return resolved

    @property
    def outline(self) -> Resolved | None:
        """Return ``resolved`` without its objects, which costs nothing; its bodies can be had."""
        return None if self._resolved is None else replace(self._resolved, desired=(), sources=self._files)

    @property
    def is_entangled(self) -> bool:
        """Tell whether any object has to do with whichever change: takes a field from another, or goes before it."""
        return self._is_entangled

    def resolve(self, resolved: Resolved | None) -> None:
        """Go over to a revision that was resolved whole; None: nothing is to be taken over from the one before."""
        self._resolved, self._later = resolved, {}
        self._files = resolved.sources if resolved is not None else NO_FILES

    def hold(self, desired: Iterable[Desired]) -> None:
        """Take all objects of the revision as they are to be applied."""
        self._by_ref = {one.ref: one for one in desired}
        orderings = (one.ordering for one in self._by_ref.values() if one.ordering is not None)
        self._is_entangled = any(map(_concerns_others, orderings))

    def amend(self, changed: Resolved, files: Files) -> None:
        """Go over to a revision with these files, of which ``narrow`` has told what it changes."""
        for one in changed.desired:
            self._by_ref[one.ref] = self._later[one.ref] = one
        self._files = files

    def replace(self, one: Desired) -> None:
        """Take one object as it is to be applied from now on."""
        self._by_ref[one.ref] = one


def _concerns_others(ordering: Ordering) -> bool:
    """Tell whether an unchanged object has to do with any that changed: it takes a field from it, or goes before it."""
    return bool(ordering.mutations) or ordering.wave < 0
