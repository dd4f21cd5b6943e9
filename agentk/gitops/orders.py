"""What somebody ordered of one project and its loop has not got to yet; the loop takes one order at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from agentlink.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class OtherPrune(Refusal):
    """Why a confirmed prune was not carried out: ``waiting`` is what waits now, which is not what was looked at."""

    waiting: frozenset[ObjectRef] = frozenset()

    @classmethod
    def of(cls, waiting: frozenset[ObjectRef]) -> OtherPrune:
        """Say so of the objects that wait, none perhaps."""
        if not waiting:
            message = "no prune waits for a confirmation now; `kas get syncs` shows how it stands"
        else:
            message = (
                f"{len(waiting)} objects wait to be deleted now, and they are not those that were looked at; look again"
            )
        return cls("PruneSetChanged", message, waiting)


@dataclass(frozen=True, slots=True)
class Order:
    """Sync anew. ``confirmed`` are the objects whose deletion somebody confirmed, None where nobody was asked.

    ``answer`` is given once, to who waits for it: why it was not done, None when it was.
    """

    confirmed: frozenset[ObjectRef] | None = None
    answer: asyncio.Future[Refusal | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, refusal: Refusal | None = None) -> None:
        """Answer, unless nobody waits any more or it was answered before."""
        if not self.answer.done():
            self.answer.set_result(refusal)


class Orders:
    """Orders in the sequence in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, order: Order) -> None:
        """Put an order last."""
        self._waiting.append(order)

    def take(self) -> Order:
        """Take the first."""
        return self._waiting.popleft()

    def refuse_all(self, refusal: Refusal) -> None:
        """Answer everything that waits with a refusal."""
        while self._waiting:
            self._waiting.popleft().settle(refusal)
