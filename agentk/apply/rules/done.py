"""What has ended as Git has it is done, and is not done again: a completed Job, a bare Pod that ended well.

Both may be gone soon after: by ``ttlSecondsAfterFinished``, by a clean-up. The inventory remembers that the object
ended well as it was applied, in place of the fingerprint, which is of no use for it any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.model import Recorded

DONE: Final = "d0" * 8
"""Recorded instead of a fingerprint. That a fingerprint, a digest of 64 bits, is the same will not happen."""

COMPLETED: Final = "Completed"
"""The reason of an object that is done and gone."""

WORDS: Final = "has completed as Git has it, and is gone since; it runs again when Git changes it"


def is_done(recorded: Recorded | None) -> bool:
    """Tell whether an object has ended well as it was applied last."""
    return recorded is not None and recorded.fingerprint == DONE


def done(recorded: Recorded) -> Recorded:
    """Return what to record of an object that has ended well."""
    return replace(recorded, fingerprint=DONE)


def has_ended_well(document: Mapping[str, Any]) -> bool:
    """Tell whether an object, as the API server has it, has done what there was to do, and does nothing more."""
    status = document.get("status")
    if not isinstance(status, dict):
        return False
    match document.get("apiVersion"), document.get("kind"):
        case "batch/v1", "Job":
            conditions = status.get("conditions")
            found = conditions if isinstance(conditions, list) else []
            return any(
                isinstance(one, dict) and (one.get("type"), one.get("status")) == ("Complete", "True") for one in found
            )
        case "v1", "Pod":
            return status.get("phase") == "Succeeded"
        case _:
            return False
