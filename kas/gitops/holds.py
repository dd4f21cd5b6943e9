"""What agents are told of suspensions and pins, at once when somebody orders one and again when its time is over.

Held in memory once known, so that a database that is away neither stops a stream nor lets a suspended project go on.
The clock is kas' own; agents are told what holds, not what time it is.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from kas.store.patience import when_available
from kas.store.records import HoldKind
from kas.store.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from kas.store.holds import Holds
    from kas.store.records import HoldRecord

_LONGEST_WAIT: Final = timedelta(seconds=30)
"""How long the clock is trusted not to have been put forward."""

OTHERS_SECONDS: Final = 5.0
"""How often what other replicas were told is looked for, where there may be any."""


def _nobody(agent_id: int) -> None:
    """Tell nobody."""


class HoldBoard:
    """The holds in force of every agent that was asked for.

    Args:
        holds: the store's.
        clock: the time, aware and in UTC.
    """

    def __init__(self, holds: Holds, clock: Callable[[], datetime] = utc_now) -> None:
        self._holds = holds
        self._clock = clock
        self._known: dict[int, tuple[HoldRecord, ...]] = {}
        self._followers: dict[int, list[Following]] = {}
        # What is read later must be learnt later, or an order that came in between would be forgotten.
        self._reading = asyncio.Lock()
        self.tell: Callable[[int], None] = _nobody
        """Called with the agent whose holds were changed here; for telling other replicas of kas. Must not block."""

    async def refresh(self, agent_id: int) -> None:
        """Read anew what holds for an agent, and tell its streams; call it after the store was changed."""
        self.tell(agent_id)
        await self._refresh(agent_id)

    async def _refresh(self, agent_id: int) -> None:
        async with self._reading:
            found = await when_available(partial(self._holds.in_force, agent_id), what="what holds")
            self._learn(agent_id, found)

    async def follow_others(self) -> None:
        """Learn what other replicas of kas were told, for ever."""
        while True:
            await asyncio.sleep(OTHERS_SECONDS)
            await self.learn_all()

    async def learn_all(self) -> None:
        """Read anew what holds for all agents that were asked for."""
        async with self._reading:
            asked_for = dict(self._known)
            holding: dict[int, list[HoldRecord]] = {}
            for hold in await when_available(self._holds.in_force, what="what holds"):
                holding.setdefault(hold.agent_id, []).append(hold)
            for agent_id, known in asked_for.items():
                found = tuple(holding.get(agent_id, ()))
                if found != known:
                    self._learn(agent_id, found)

    async def learn(self, agent_id: int) -> None:
        """Read anew what holds for an agent, if it was asked for: it was changed at another replica of kas."""
        if agent_id in self._known:
            await self._refresh(agent_id)

    def _learn(self, agent_id: int, found: tuple[HoldRecord, ...]) -> None:
        self._known[agent_id] = found
        for following in tuple(self._followers.get(agent_id, ())):
            following.look()

    async def follow(self, agent_id: int, told: Callable[[tuple[HoldRecord, ...]], None]) -> Following:
        """Have ``told`` called with what holds for an agent, before this returns and again after every change.

        ``told`` must not block.
        """
        if agent_id not in self._known:
            # Thousands of agents may come at once, so this takes no turns; whatever was learnt meanwhile is newer.
            found = await when_available(partial(self._holds.in_force, agent_id), what="what holds")
            self._known.setdefault(agent_id, found)
        following = Following(self, agent_id, told)
        self._followers.setdefault(agent_id, []).append(following)
        following.look()
        return following

    def in_force(self, agent_id: int) -> tuple[tuple[HoldRecord, ...], float | None]:
        """Return what is known to hold now for an agent, and in how many seconds to look again: None for never."""
        now = self._clock()
        holding = tuple(hold for hold in self._known[agent_id] if hold.in_force(now))
        ends = [hold.until - now for hold in holding if hold.until is not None]
        return holding, min([*ends, _LONGEST_WAIT]).total_seconds() if ends else None

    def leave(self, agent_id: int, following: Following) -> None:
        """See ``Following.leave``."""
        followers = self._followers[agent_id]
        followers.remove(following)
        if not followers:
            del self._followers[agent_id]


class Following:
    """What ``HoldBoard.follow`` gives."""

    __slots__ = ("_agent_id", "_board", "_looking", "_told", "_was")

    def __init__(self, board: HoldBoard, agent_id: int, told: Callable[[tuple[HoldRecord, ...]], None]) -> None:
        self._board = board
        self._agent_id = agent_id
        self._told = told
        self._was: tuple[HoldRecord, ...] | None = None
        self._looking: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Tell of what holds now, if that is something else than before."""
        if self._looking is not None:
            self._looking.cancel()
        holding, again = self._board.in_force(self._agent_id)
        self._looking = asyncio.get_running_loop().call_later(again, self.look) if again is not None else None
        if holding != self._was:
            self._was = holding
            self._told(holding)

    def leave(self) -> None:
        """Be told nothing more; to be called once."""
        if self._looking is not None:
            self._looking.cancel()
        self._board.leave(self._agent_id, self)


def suspension_of(project_id: int, holding: Iterable[HoldRecord]) -> HoldRecord | None:
    """Return the suspension that a project is under, its own or that of the whole agent: the one that lasts longest."""
    found = [hold for hold in holding if hold.kind is HoldKind.SUSPENSION and hold.project_id in {None, project_id}]
    return max(found, key=lambda hold: (hold.until is None, hold.until or hold.at), default=None)


def pin_of(project_id: int, holding: Iterable[HoldRecord]) -> HoldRecord | None:
    """Return the pin that a project is under."""
    found = [hold for hold in holding if hold.kind is HoldKind.PIN and hold.project_id == project_id]
    return found[-1] if found else None
