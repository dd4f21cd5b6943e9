"""Which objects with this agent's label are really its projects', so that pruning heeds what they need.

Labels and annotations are claims that anybody can write. What counts is what the agent knows by itself: what a project
of it wants by its Git, and what that project's inventory says was applied, by its UID.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from agentk.apply.inventory import InventoryError
from agentk.kube.errors import KubeError
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentk.apply.model import Desired, Live, Recorded
    from agentlink.refs import ObjectRef

log = logs.get_logger("holders")


@dataclass(frozen=True, slots=True)
class Held:
    """What one project holds: what Git wants, and what its inventory says, each by name."""

    desired: Mapping[ObjectRef, Desired]
    recorded: Mapping[ObjectRef, Recorded]


class Holder(Protocol):
    """A project that may hold objects."""

    async def held(self) -> Held:
        """Return what it holds.

        Raises:
            KubeError, InventoryError: Nobody can tell now.
        """
        ...


async def genuine(
    claimed: Iterable[Live], holders: Callable[[], Mapping[str, Holder]] | None, *, but: str
) -> tuple[Live, ...]:
    """Return those of these objects that are a project's, each with what its Git says that it needs.

    Of a project whose inventory cannot be read now, what claims to be its own counts: to prune later is no harm.

    Args:
        claimed: Objects with the agent's label.
        holders: Tells the agent's projects, by their inventories' ids; None: they are not known.
        but: The inventory id of the project that asks.
    """
    claimed = tuple(claimed)
    if holders is None or not claimed:
        return tuple(live for live in claimed if live.owner is not None)
    held: list[Held] = []
    unknown: set[str] = set()
    for inventory_id, holder in holders().items():
        if inventory_id == but:
            continue
        try:
            held.append(await holder.held())
        except (KubeError, InventoryError) as error:
            log.warning("What another project holds is not known", inventory=inventory_id, why=str(error))
            unknown.add(inventory_id)
    return tuple(
        found for live in claimed if (found := _found(live, held) or (live if live.owner in unknown else None))
    )


def _found(live: Live, held: Iterable[Held]) -> Live | None:
    """Return an object as its project has it, None where it is no project's."""
    for one in held:
        desired = one.desired.get(live.ref)
        if desired is not None:
            return replace(live, ordering=desired.ordering)
        recorded = one.recorded.get(live.ref)
        if recorded is not None and recorded.uid == live.uid:
            return live
    return None
