"""Of a new revision only what changed, where that gives the same as looking at everything. Pure.

A project that is as Git wants it, of which a commit changes one file among thousands, needs no look at the thousands:
what happens to their objects in the cluster, the watches tell. This decides when it is so. It is careful: where objects
of the project depend on each other, where one left, or where anything is unusual, everything is looked at. A rule that
decides about one object by looking at others has to be excluded in ``_is_alone``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentk.apply.files import Files
from agentk.apply.resolve import Resolved, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Desired, Ordering, ProjectSettings, Snapshot
    from agentlink.refs import ObjectRef

_MOST: Final = 0.1
"""Share of the files up to which looking at them alone is worth its own work."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a revision changes.

    ``changed`` is what the changed files want, and ``whole`` what ``resolve`` would have given for the revision;
    objects that are new come last.
    """

    changed: Resolved
    whole: Resolved


def narrow(
    snapshot: Snapshot,
    settings: ProjectSettings,
    kinds: Kinds,
    agent_id: int,
    *,
    previous: Resolved,
    desired: Mapping[ObjectRef, Desired],
) -> Narrowed | None:
    """Return what a revision changes; None where everything must be looked at.

    Args:
        snapshot: The revision.
        settings: The project's.
        kinds: What the cluster serves; the same as for ``previous``.
        agent_id: The agent's.
        previous: The revision before, all of whose objects are in the cluster as it wants them.
        desired: Its objects by name, with what was done to them since ``resolve``.
    """
    before, files, basis = previous.sources, Files.of(snapshot.files), previous.basis
    if basis is None or previous.refused or previous.blocked is not None or not files.includes(before):
        return None
    changed = files.differing(before)
    if len(changed) > len(files) * _MOST:
        return None
    fresh, stale = (
        resolve(replace(snapshot, files=of.only(changed)), settings, kinds, agent_id, own=basis.own)
        for of in (files, before)
    )
    if fresh.basis != basis or fresh.refused or stale.refused or fresh.blocked is not None:
        return None
    held = {one.ref for one in stale.desired}
    wanted = {one.ref: one for one in fresh.desired}
    # None of theirs has left, and none is held by another file as well.
    kept = held <= wanted.keys() and not any(ref in desired and ref not in held for ref in wanted)
    body_of, body_before = fresh.body_of, previous.body_of
    if (
        not kept
        or not all(_is_alone(one, body_of(one)) for one in wanted.values())
        or not all(_is_alone(one, body_before(one)) for ref in held if (one := desired.get(ref)))
        or any(_concerns_others(one.ordering) for one in desired.values() if one.ordering is not None)
    ):
        return None
    new = tuple(one for ref, one in wanted.items() if ref not in held)
    whole = (*(wanted.get(one.ref, one) for one in previous.desired), *new)
    return Narrowed(fresh, Resolved(whole, basis=basis, sources=files))


def _is_alone(one: Desired, body: bytes) -> bool:
    """Tell whether what is done about an object depends on no other one, nor that of another on it."""
    if one.defines or one.ordering is not None or one.traits is not None:
        return False
    # Replicas may be left to an autoscaler, which is an object of its own.
    return not one.ignore_mutation and b'"replicas"' not in body


def _concerns_others(ordering: Ordering) -> bool:
    """Tell whether an unchanged object has to do with any that changed: it takes a field from it, or goes before it."""
    return bool(ordering.mutations) or ordering.wave < 0
