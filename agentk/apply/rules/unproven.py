"""Whether an inventory that does not say whose it is may be taken for the project's own.

It was found by a number. GitLab's agent wrote it, or an agentk of before; or it is another project's, and the number a
mistake. What tells is Git: something of the inventory is in there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Outcome, Refusal, Result

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agentk.apply.model import ProjectSettings, Recorded
    from agentlink.refs import ObjectRef

NOT_PROVEN: Final = "InventoryNotProven"
"""The reason of a project whose inventory may be another's."""

_SHOWN: Final = 5
"""Objects that the message names."""


def is_doubtful(recorded: Mapping[ObjectRef, Recorded], in_git: Collection[ObjectRef]) -> bool:
    """Tell whether an inventory without words may be another's.

    Args:
        recorded: What it holds. A UID is sealed: agentk has applied such an object for this very inventory.
        in_git: What the project wants, refused objects among them.
    """
    if not recorded or any(ref in recorded for ref in in_git):
        return False
    return not any(one.uid for one in recorded.values())


def hold(left: Sequence[Recorded], place: ObjectRef, settings: ProjectSettings) -> tuple[tuple[Outcome, ...], Outcome]:
    """Return what is said of each of an inventory's objects, and of the project, while nobody confirms that it is its.

    Nothing is applied either: afterwards the inventory would hold objects of both.
    """
    why = Refusal(
        "PruneNeedsConfirmation",
        f"stands in the inventory {settings.inventory_id}, not in the manifests, and waits for a confirmation: nothing"
        " of this inventory is in Git, so it may be another project's",
    )
    outcomes = tuple(Outcome(one.ref, Result.SKIPPED, reason=why.reason, message=why.message) for one in left)
    named = ", ".join(sorted(str(one.ref) for one in left)[:_SHOWN])
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    message = (
        f"was not written by this agentk, and none of its {len(left)} objects is in Git: it may be another project's."
        f" Nothing is applied or pruned; to go on would delete {named}{more}. If the ids are wrong, correct the agent's"
        f" (`kas agent create --id`) or the project's (git.projects.{settings.path}.id in kas.yaml); if these objects"
        " are the project's own and are to go, `kas confirm-prune`"
    )
    return outcomes, Outcome(place, Result.FAILED, reason=NOT_PROVEN, message=message)
