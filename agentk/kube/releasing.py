"""What is patched to let go of an object, so that another may adopt it. Pure.

Besides our label and our annotation our entry of ``managedFields`` goes: as long as we own its fields, the next applier
runs into a conflict with somebody who does not care any more. Applying nothing as the same manager would not do, for it
removes the fields themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply import names
from agentk.apply.managers import compact, entries, is_ours

if TYPE_CHECKING:
    from collections.abc import Mapping


def released(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the merge patch of ``metadata``; if that has changed before the patch, the patch is refused."""
    others = [one for one in entries(metadata.get("managedFields")) if not is_ours(one)]
    return {
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
        "labels": {names.AGENT_LABEL: None},
        "annotations": {names.OWNING_INVENTORY: None},
        "managedFields": compact(others),
    }
