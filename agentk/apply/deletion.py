"""In what order objects that left Git are deleted: the reverse of how they were applied. Pure.

What they depend on is read from the live objects, for Git no longer says it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from agentk.apply.needs import definition_of, home_of
from agentk.apply.rules.depend import find_cycles
from agentk.apply.rules.order import rank_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentk.apply.model import Live, Prune
    from agentlink.refs import ObjectRef

_Turn = tuple[int, int, int]
"""Wave, rank, and the length of the chain of dependencies within that rank."""


def waves(prunes: Sequence[Prune], live: Mapping[ObjectRef, Live]) -> tuple[tuple[Prune, ...], ...]:
    """Return what is deleted together, first what nothing else needs; each with what must be gone before it.

    Args:
        prunes: What is deleted.
        live: The objects as they are.
    """
    needs = _needs(prunes, live)
    needed_by: defaultdict[ObjectRef, list[ObjectRef]] = defaultdict(list)
    for ref, needed in needs.items():
        for other in needed:
            needed_by[other].append(ref)
    turns = _turns(prunes, live, needs)
    found: defaultdict[_Turn, list[Prune]] = defaultdict(list)
    for prune in prunes:
        before = needed_by.get(prune.ref)
        found[turns[prune.ref]].append(replace(prune, after=tuple(sorted(before))) if before else prune)
    return tuple(tuple(found[turn]) for turn in sorted(found, reverse=True))


def _needs(prunes: Sequence[Prune], live: Mapping[ObjectRef, Live]) -> dict[ObjectRef, tuple[ObjectRef, ...]]:
    """Return of each object what else of the prune it needs, without cycles: objects may have been changed since."""
    among = {prune.ref for prune in prunes}
    needs = {}
    for prune in prunes:
        ordering = live[prune.ref].ordering
        named = ordering.depends_on if ordering is not None else ()
        needed = (*named, home_of(prune.ref.namespace), definition_of(prune.kind))
        needs[prune.ref] = tuple(ref for ref in dict.fromkeys(needed) if ref in among and ref != prune.ref)
    knotted = find_cycles(needs)
    return {ref: () if ref in knotted else needed for ref, needed in needs.items()}


def _turns(
    prunes: Sequence[Prune], live: Mapping[ObjectRef, Live], needs: Mapping[ObjectRef, tuple[ObjectRef, ...]]
) -> dict[ObjectRef, _Turn]:
    kinds = {prune.ref: prune.kind for prune in prunes}
    turns: dict[ObjectRef, _Turn] = {}
    for prune in prunes:
        stack = [prune.ref]
        while stack:
            ref = stack[-1]
            if ref in turns:
                stack.pop()
                continue
            pending = [other for other in needs[ref] if other not in turns]
            if pending:
                stack.extend(pending)
                continue
            stack.pop()
            ordering = live[ref].ordering
            wave, rank = ordering.wave if ordering is not None else 0, int(rank_of(kinds[ref]))
            for other in needs[ref]:
                wave, rank = max(wave, turns[other][0]), max(rank, turns[other][1])
            chain = [turns[other][2] + 1 for other in needs[ref] if turns[other][:2] == (wave, rank)]
            turns[ref] = wave, rank, max(chain, default=0)
    return turns
