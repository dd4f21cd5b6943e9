"""Whether GitLab's own agentk is at work beside us for a project, asked before anything is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agentk.apply.rules.rival import judge
from agentk.kube.gitlab_lock import lock_holders

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentk.apply.rules.rival import Rival
    from agentk.kube.client import KubeClient

KNOWN_SECONDS: Final = 60.0
"""How long nobody's presence is believed: a push that comes meanwhile costs no request."""

AGAIN_SECONDS: Final = 10.0
"""How long somebody's is, so that a project goes on soon after that has ended."""

DOUBT_SECONDS: Final = 1.0
"""How often it is asked at most because objects lose their labels: anybody who may edit them can take these off."""


class Rivals:
    """Knows it for one project, and asks the cluster when what it knows is old."""

    def __init__(
        self,
        client: KubeClient,
        agent_id: int,
        *,
        home: str,
        inventory: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing known; ``home`` is agentk's namespace, ``inventory`` that of the inventory."""
        self._client, self._agent_id = client, agent_id
        self._home, self._inventory = home, inventory
        self._clock = clock
        self._found: Rival | None = None
        self._asked: float | None = None
        self._believed = 0.0

    async def at_work(self) -> Rival | None:
        """Return who is at work, None where nobody is.

        Raises:
            KubeError: The API server does not answer.
        """
        now = self._clock()
        if self._asked is None or now >= self._asked + self._believed:
            holders = await lock_holders(self._client, self._agent_id, home=self._home, inventory=self._inventory)
            found = [rival for holder in holders if (rival := judge(holder)) is not None]
            self._found = max(found, key=lambda one: one.certain, default=None)
            self._asked, self._believed = now, AGAIN_SECONDS if self._found is not None else KNOWN_SECONDS
        return self._found

    def forget(self) -> None:
        """Ask anew, however lately that was: somebody wants to know."""
        self._asked = None

    def doubt(self) -> None:
        """Ask again soon: an object of ours has lost its label, as it does when GitLab's agentk applies it."""
        self._believed = min(self._believed, DOUBT_SECONDS)
