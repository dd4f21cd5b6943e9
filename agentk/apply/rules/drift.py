"""Whether a live object still is what was applied last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import Drift

if TYPE_CHECKING:
    from agentk.apply.model import Live, ProjectSettings, Recorded


def drift_of(live: Live | None, recorded: Recorded, settings: ProjectSettings) -> Drift | None:
    """Return how the live object departs from the recorded one, None when it does not.

    Changes of fields that we do not apply are other people's business and no drift. An object recorded without
    fingerprint was never seen applied, and counts as changed.
    """
    if live is None:
        return Drift.MISSING
    if live.uid != recorded.uid:
        return Drift.RECREATED
    if live.fingerprint != recorded.fingerprint:
        return Drift.FIELDS_CHANGED
    if not live.labelled:
        return Drift.LABEL_LOST
    return None if live.owner == settings.inventory_id else Drift.OWNER_CHANGED
