"""When each apply of a plan has its turn: waves, ranks within them, and what waits for other objects. Pure.

Ranks are barriers (``rules.order``): all of one have been sent and answered before the next begins. An object that
waits for another one's health is no barrier to anybody but the next wave, so that what is slow stops only what depends
on it.

An object needs its Namespace and its CustomResourceDefinition only where these are not there yet. What its annotations
name it needs when something new is to be applied: putting an object back as it was waits for nobody.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Need, Outcome, Result, Stage, Until, Why
from agentk.apply.needs import definition_of, home_of
from agentk.apply.rules import depend
from agentk.apply.rules.order import Rank, rank_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Apply, Desired, Kind, Refusal
    from agentlink.refs import ObjectRef

_AT_ONCE: Final = -(10**10)
"""The wave of what waits for no wave."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The applies in order, and outcomes of those that cannot have a turn."""

    stages: tuple[Stage, ...]
    decided: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one apply belongs; ``late``: it waits for health, itself or through what it needs."""

    wave: int
    rank: Rank
    late: bool
    after: tuple[Need, ...]
    refusal: tuple[Result, Refusal] | None = None


def cycles(desired: Sequence[Desired]) -> dict[ObjectRef, Refusal]:
    """Find the objects that depend on themselves, be it through a Namespace or a CRD."""
    ordered = [one for one in desired if one.ordering is not None]
    if not ordered:
        return {}
    known = {one.ref: one for one in desired}
    edges: dict[ObjectRef, tuple[ObjectRef, ...]] = {}
    queue = [one.ref for one in ordered]
    for ref in queue:
        if ref in edges:
            continue
        one = known[ref]
        named = one.ordering.depends_on if one.ordering is not None else ()
        needed = (*named, home_of(ref.namespace), definition_of(one.kind))
        edges[ref] = tuple(other for other in dict.fromkeys(needed) if other in known)
        queue.extend(edges[ref])
    return depend.find_cycles(edges)


def stage(
    applies: Sequence[Apply],
    desired: Mapping[ObjectRef, Desired],
    broken: Collection[ObjectRef],
    there: Collection[ObjectRef],
    kinds: Kinds,
) -> Staged:
    """Put applies in order.

    Args:
        applies: Without cycles among them.
        desired: All that Git wants, applied or not.
        broken: Objects of the revision that are known not to be applied.
        there: What exists in the cluster, of all desired objects and all dependencies.
        kinds: What is served now.
    """
    return _Staging(applies, desired, broken, there, kinds).run()


class _Staging:
    """One run of ``stage``; holds what its steps share."""

    def __init__(
        self,
        applies: Sequence[Apply],
        desired: Mapping[ObjectRef, Desired],
        broken: Collection[ObjectRef],
        there: Collection[ObjectRef],
        kinds: Kinds,
    ) -> None:
        self._actions = {action.desired.ref: action for action in applies}
        self._desired = desired
        self._broken = set(broken)
        self._there = there
        self._kinds = kinds
        self._places: dict[ObjectRef, _Place] = {}
        self._shared: dict[tuple[str, int, bool], _Place] = {}
        self._homes: dict[str, tuple[Need, ...]] = {}
        self._definitions: dict[int, tuple[Need, ...]] = {}
        self._defined_by = {(kind.group, kind.kind): one.ref for one in desired.values() for kind in one.defines}
        self._has_waves = any(one.ordering is not None and one.ordering.wave for one in desired.values())
        self._placed: list[tuple[Apply, _Place]] = []

    def run(self) -> Staged:
        self._placed = [(action, self._find(action)) for action in self._actions.values()]
        if self._has_waves and self._broken:
            self._stop_waves()
        decided = []
        for action, place in self._placed:
            if place.refusal is not None:
                result, why = place.refusal
                desired = action.desired
                decided.append(Outcome(desired.ref, result, desired.path, why.reason, why.message))
        return Staged(tuple(self._stages()), tuple(decided))

    def _find(self, action: Apply) -> _Place:
        """Find the place of one apply. Objects are many, and nearly all of a kind and a namespace share theirs."""
        desired = action.desired
        if desired.ordering is not None:
            return self._settle(action)
        key = (desired.ref.namespace, id(desired.kind), action.why is Why.DRIFTED)
        place = self._shared.get(key)
        if place is None:
            place = self._shared[key] = self._settle(action)
        elif place.refusal is not None:
            self._broken.add(desired.ref)
        return place

    def _settle(self, root: Apply) -> _Place:
        """Find the place of one apply, after those of everything it needs."""
        stack = [root]
        while stack:
            action = stack[-1]
            ref = action.desired.ref
            if ref in self._places:
                stack.pop()
                continue
            needs, refusal = self._needs(action)
            pending = [
                self._actions[need.ref] for need in needs if need.ref in self._actions and need.ref not in self._places
            ]
            if pending:
                stack.extend(pending)
                continue
            stack.pop()
            place = self._place(action, needs, refusal)
            self._places[ref] = place
            if place.refusal is not None:
                self._broken.add(ref)
        return self._places[root.desired.ref]

    def _needs(self, action: Apply) -> tuple[tuple[Need, ...], tuple[Result, Refusal] | None]:
        """Return what an apply waits for, or why it cannot be applied at all."""
        desired = action.desired
        needs = self._home(desired.ref.namespace) + self._definition(desired.kind)
        if desired.ordering is None or action.why is Why.DRIFTED:
            return needs, None
        named = []
        for ref in desired.ordering.depends_on:
            if action.settled and ref not in self._actions:
                continue
            if ref not in self._desired and ref not in self._broken and ref not in self._there:
                return (), (Result.FAILED, depend.not_found(ref, self._kinds))
            named.append(Need(ref, Until.HEALTHY))
        return (*needs, *named), None

    def _home(self, namespace: str) -> tuple[Need, ...]:
        found = self._homes.get(namespace)
        if found is None:
            home = home_of(namespace)
            missing = home not in self._there and (home in self._actions or home in self._broken)
            found = self._homes[namespace] = (Need(home, Until.APPLIED),) if missing else ()
        return found

    def _definition(self, kind: Kind) -> tuple[Need, ...]:
        found = self._definitions.get(id(kind))
        if found is None:
            served = self._kinds.find(kind.group, kind.kind, kind.version) == kind
            # What is wrong with a CRD may be its very name, so the one in Git is found by what it defines.
            definition = self._defined_by.get((kind.group, kind.kind)) or definition_of(kind)
            found = () if served else (Need(definition, Until.SERVED),)
            self._definitions[id(kind)] = found
        return found

    def _place(self, action: Apply, needs: tuple[Need, ...], refusal: tuple[Result, Refusal] | None) -> _Place:
        if refusal is None and needs:
            failed = next((need.ref for need in needs if need.ref in self._broken), None)
            refusal = None if failed is None else (Result.SKIPPED, depend.failed(failed))
        at_once = action.why is Why.DRIFTED or bool(action.settled)
        wave = _AT_ONCE if at_once else _wave_of(action.desired)
        rank, late = rank_of(action.desired.kind), False
        for need in needs:
            late = late or need.until is Until.HEALTHY
            place = self._places.get(need.ref)
            if place is not None:
                wave, rank, late = max(wave, place.wave), max(rank, place.rank), late or place.late
        return _Place(wave, rank, late, needs, refusal)

    def _stop_waves(self) -> None:
        """Refuse what is in a higher wave than an object that is known not to be applied."""
        lowest: tuple[int, ObjectRef] | None = None
        for ref in self._broken:
            one = self._desired.get(ref)
            if one is not None and (lowest is None or (_wave_of(one), ref) < lowest):
                lowest = _wave_of(one), ref
        if lowest is None:
            return
        wave, culprit = lowest
        for number, (action, place) in enumerate(self._placed):
            if place.wave > wave and place.refusal is None:
                self._placed[number] = action, replace(place, refusal=(Result.SKIPPED, depend.failed(culprit)))
                self._broken.add(action.desired.ref)

    def _stages(self) -> Iterator[Stage]:
        waves: defaultdict[int, defaultdict[Rank, tuple[list[Apply], list[Apply]]]]
        waves = defaultdict(lambda: defaultdict(lambda: ([], [])))
        for action, place in self._placed:
            if place.refusal is None:
                ready = replace(action, after=place.after) if place.after else action
                waves[place.wave][place.rank][place.late].append(ready)
        later = {action.desired.ref: place.wave for action, place in self._placed} if self._has_waves else {}
        passed = _AT_ONCE
        for wave in sorted(waves):
            gate, passed = self._gate(passed, wave, later), wave
            for rank in sorted(waves[wave]):
                now, late = waves[wave][rank]
                yield Stage(tuple(now), late=tuple(late), gate=gate)
                gate = ()

    def _gate(self, passed: int, wave: int, later: Mapping[ObjectRef, int]) -> tuple[ObjectRef, ...]:
        """Return the objects of the waves from ``passed`` on and below ``wave``, whether applied now or before.

        ``later`` are the waves in which objects are applied, which may be higher than their own.
        """
        if not self._has_waves:
            return ()
        return tuple(
            ref
            for ref, one in self._desired.items()
            if passed <= max(_wave_of(one), later.get(ref, _AT_ONCE)) < wave and ref not in self._broken
        )


def _wave_of(desired: Desired) -> int:
    return desired.ordering.wave if desired.ordering is not None else 0
