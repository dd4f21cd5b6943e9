"""Hints that something stored has changed: what holds for an agent, and whatever watches of the API show.

Holds are told at once and read from the store there. What reports change is told ten times a second at most: who
watches reads anew what it shows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from kas.replicas.port import Gap

if TYPE_CHECKING:
    from kas.gitops.holds import HoldBoard
    from kas.replicas.port import Bus, Heard
    from kas.reports.feed import Feed

PAUSE_SECONDS: Final = 0.1
_HOLDS: Final = "holds"
_FEED: Final = "feed"


class Hints:
    """Tells of changes here, and passes on those elsewhere. ``run`` it as a part of the program."""

    def __init__(self, bus: Bus, holds: HoldBoard, feed: Feed) -> None:
        self._bus = bus
        self._holds = holds
        self._feed = feed
        self._agents: set[int] = set()
        self._all = False
        self._something = asyncio.Event()
        self._changed = asyncio.Event()
        holds.tell = self._holds_changed
        feed.tell = self._changed.set

    async def run(self) -> NoReturn:
        """Tell and hear, for ever."""
        with self._bus.listen(_HOLDS, self._heard_holds), self._bus.listen(_FEED, self._heard_feed):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell_changes())
                while True:
                    await self._something.wait()
                    self._something.clear()
                    agents, self._agents = self._agents, set()
                    everything, self._all = self._all, False
                    if everything:
                        await self._holds.learn_all()
                        continue
                    for agent_id in agents:
                        await self._holds.learn(agent_id)

    async def _tell_changes(self) -> NoReturn:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._bus.publish(_FEED, b"")
            await asyncio.sleep(PAUSE_SECONDS)

    def _holds_changed(self, agent_id: int) -> None:
        self._bus.publish(_HOLDS, orjson.dumps(agent_id))

    def _heard_holds(self, heard: Heard) -> None:
        if isinstance(heard, Gap):
            self._all = True
        else:
            self._agents.add(orjson.loads(heard.body))
        self._something.set()

    def _heard_feed(self, _: Heard) -> None:
        self._feed.changed_elsewhere()
