"""Whether a live object still is what was applied last, and what is said and done about it if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Drift, DriftPolicy
from agentk.apply.rules.blame import told
from agentk.apply.rules.done import is_done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.model import Desired, Live, ProjectSettings, Recorded
    from agentk.apply.rules.blame import Change

DRIFTED: Final = "Drifted"
"""The reason of an object that is left as others changed it."""

CORRECTED: Final = "DriftCorrected"
"""The reason of an object that was put back."""

_WHAT: Final = {Drift.MISSING: "was deleted outside Git", Drift.RECREATED: "was deleted and created anew outside Git"}


def drift_of(live: Live | None, recorded: Recorded, settings: ProjectSettings) -> Drift | None:
    """Return how the live object departs from the recorded one, None when it does not.

    Changes of fields that we do not apply are other people's business and no drift. An object recorded without
    fingerprint was never seen applied, and counts as changed. What is done does not depart from anything.
    """
    if is_done(recorded):
        return None
    if live is None:
        return Drift.MISSING
    if live.uid != recorded.uid:
        return Drift.RECREATED
    if live.fingerprint != recorded.fingerprint:
        return Drift.FIELDS_CHANGED
    if not live.labelled:
        return Drift.LABEL_LOST
    return None if live.owner == settings.inventory_id else Drift.OWNER_CHANGED


def policy_for(desired: Desired, settings: ProjectSettings) -> DriftPolicy:
    """Return what is done about drift of an object: what its own annotation says, otherwise what the project's does.

    In a suspended project nothing is put back, whoever asks for it; it is told.
    """
    policy = (desired.traits.drift if desired.traits is not None else None) or settings.drift
    return DriftPolicy.REPORT if settings.suspension is not None and policy is DriftPolicy.CORRECT else policy


def describe(drift: Drift, changes: Sequence[Change] = ()) -> str:
    """Say what somebody did to an object, and who it was, as far as that is known."""
    details = told(changes)
    return _WHAT.get(drift, "was changed outside Git") + (f": {details}" if details else "")
