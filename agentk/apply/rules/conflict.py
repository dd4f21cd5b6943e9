"""Who wins when others hold fields that Git sets.

Git wins over those who set fields by updating: Helm, controllers, people. Another *applier* (Flux, Argo CD) has a
source of truth of its own, and taking its fields would start a fight: that is an error, unless somebody wants it.
kubectl is neither: what it applied, on either side, becomes ours (``migrate``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Refusal
from agentk.apply.names import FORCE_CONFLICTS, IGNORE_FIELDS
from agentk.apply.rules.migrate import FORMER_APPLIERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.model import Live

_CONFLICT: Final = re.compile(
    r'conflict with "(?P<manager>(?:[^"\\]|\\.)*)"(?: with subresource "[^"]*")?(?P<updates> using \S+(?: at \S+)?)?'
)
"""One cause as the API server words it. Only a manager that updates is said to be ``using`` a version."""

_STATED: Final = re.compile(r"Apply failed with (\d+) conflicts?:")
_SHOWN: Final = 10
"""Fields that a message names; a conflict may have hundreds."""


def force_at_once(live: Live | None, *, force_conflicts: bool = False) -> bool:
    """Tell whether a drifted object is put back by force without asking first.

    With no other applier on it, whoever took our fields took them by updating, and the answer to asking is known; with
    ``force_conflicts`` it does not matter.
    """
    return live is not None and (force_conflicts or not live.appliers)


def refuse_to_force(conflicts: Sequence[tuple[str, str]], summary: str) -> Refusal | None:
    """Return why a conflict cannot be resolved by force, None when it may be.

    Args:
        conflicts: Of each cause the server's message and the field.
        summary: The server's message of the whole, which counts the conflicts; some may be missing from the list.
    """
    appliers: dict[str, list[str]] = {}
    for message, field in conflicts:
        match = _CONFLICT.fullmatch(message)
        if match is None:
            appliers.setdefault(message, []).append(field)
        elif match["updates"] is None and match["manager"] not in FORMER_APPLIERS:
            appliers.setdefault(match["manager"], []).append(field)
    if appliers:
        whom = "; ".join(f"{_listed(fields)} by {manager!r}" for manager, fields in sorted(appliers.items()))
        return Refusal(
            "FieldConflict",
            f"fields are applied by another manager: {whom}; remove them from one of the two. If the other is to set "
            f"them, leave them to it with ignore: in config.yaml or the annotation {IGNORE_FIELDS}; if Git is, take "
            f'them with force_conflicts: true or the annotation {FORCE_CONFLICTS}: "true"',
        )
    stated = _STATED.match(summary)
    if not conflicts or (stated is not None and int(stated[1]) > len(conflicts)):
        return Refusal("FieldConflict", f"the conflict cannot be examined whole, so nothing is forced: {summary}")
    return None


def _listed(fields: list[str]) -> str:
    more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
    return ", ".join(fields[:_SHOWN]) + more
