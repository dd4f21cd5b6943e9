"""When Python looks for garbage in kas: as seldom as thousands of connected agents make it dear.

Python looks at what is young after every 700 objects that are new, and at everything when a quarter has come to it. A
push to ten thousand agents makes two million objects for a moment; what of them lives while it looks counts as come to
stay. So everything was looked at several times in each push, for a second and a third of all that kas computed, and
found nothing: what a push makes ends without being looked for.

What does not end by itself is a session that has ended: its parts name each other.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 700
"""New objects after which the young ones are looked at, while there are few agents. Python's own choice."""

_YOUNG_FOR_AGENT: Final = 5
"""The same for each agent that is connected; a push makes 200 objects for each."""

_MIDDLE: Final = 50
"""After so many looks at what is young, what has outlived one is looked at: more than a push makes for all agents."""

_OLD: Final = 10
"""After so many looks at that, everything is, if a quarter has come to it."""

_ENDED: Final = 100
_ENDED_SHARE: Final = 0.25
"""So many sessions may have ended, and this share of the open ones besides, before what they left is looked for."""


class Garbage:
    """Says when to look for garbage. It is the process's: there is to be one."""

    def __init__(self) -> None:
        self._looked = 0

    def turn(self, sessions: int, ended: int) -> None:
        """Adapt to how many sessions are open, and how many have ended so far; to be called now and then."""
        gc.set_threshold(max(_YOUNG, _YOUNG_FOR_AGENT * sessions), _MIDDLE, _OLD)
        if ended - self._looked > _ENDED + _ENDED_SHARE * sessions:
            self._looked = ended
            gc.collect()
