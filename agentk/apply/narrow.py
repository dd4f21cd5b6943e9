"""Of a new revision only what changed, where that gives the same as looking at everything. Pure.

A project that is as Git wants it, of which a commit changes one file among thousands, needs no look at the thousands:
what happens to their objects in the cluster, the watches tell. This decides when it is so. It is careful: where objects
of the project depend on each other, where one left, or where anything is unusual, everything is looked at. A rule that
decides about one object by looking at others has to be excluded in ``_is_alone`` or ``Wanted.is_entangled``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentk.apply.files import Files
from agentk.apply.resolve import resolve

if TYPE_CHECKING:
    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Desired, ProjectSettings, Snapshot
    from agentk.apply.resolve import Resolved
    from agentk.apply.wanted import Wanted

_MOST: Final = 0.1
"""Share of the files up to which looking at them alone is worth its own work."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a revision changes.

    ``changed`` is what the changed files want, ``files`` are all of the revision's: what ``Wanted.amend`` takes.
    """

    changed: Resolved
    files: Files


def narrow(
    snapshot: Snapshot, settings: ProjectSettings, kinds: Kinds, agent_id: int, *, previous: Wanted
) -> Narrowed | None:
    """Return what a revision changes; None where everything must be looked at. Costs as much as that is.

    Args:
        snapshot: The revision.
        settings: The project's.
        kinds: What the cluster serves; the same as for ``previous``.
        agent_id: The agent's.
        previous: The revision before, all of whose objects are in the cluster as it wants them.
    """
    outline, desired, files = previous.outline, previous.by_ref, Files.of(snapshot.files)
    if outline is None or outline.basis is None or outline.refused or outline.blocked is not None:
        return None
    before, basis = outline.sources, outline.basis
    if previous.is_entangled or not files.includes(before):
        return None
    changed = files.differing(before)
    if len(changed) > len(files) * _MOST:
        return None
    fresh, stale = (
        resolve(replace(snapshot, files=of.only(changed)), settings, kinds, agent_id, own=basis.bounds.own)
        for of in (files, before)
    )
    if fresh.basis != basis or fresh.refused or stale.refused or fresh.blocked is not None:
        return None
    held = {one.ref for one in stale.desired}
    wanted = {one.ref: one for one in fresh.desired}
    # None of theirs has left, and none is held by another file as well.
    kept = held <= wanted.keys() and not any(ref in desired and ref not in held for ref in wanted)
    body_of, body_before = fresh.body_of, outline.body_of
    if (
        not kept
        or not all(_is_alone(one, body_of(one)) for one in wanted.values())
        or not all(_is_alone(one, body_before(one)) for ref in held if (one := desired.get(ref)))
    ):
        return None
    return Narrowed(fresh, files)


def _is_alone(one: Desired, body: bytes) -> bool:
    """Tell whether what is done about an object depends on no other one, nor that of another on it."""
    if one.defines or one.ordering is not None or one.traits is not None:
        return False
    # Replicas may be left to an autoscaler, which is an object of its own.
    return not one.ignore_mutation and b'"replicas"' not in body
