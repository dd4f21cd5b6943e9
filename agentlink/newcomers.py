"""Who has connected and not yet shown a good token: no crowd of strangers may keep others out. Pure.

An agent shows its token within milliseconds. So there is room for so many newcomers of one address, and for so many in
all; each has a few seconds. Where an address has no room left, the newcomer takes the place of its oldest if that has
had its chance, and is sent away otherwise, as after a restart with thousands of agents behind one address. When there
is no room at all, the address that has most gives way. Who has shown a token does not count any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from agentlink.callers import household

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T", bound="Hashable")

PATIENCE_SECONDS: Final = 1.0
"""How long a newcomer keeps its place although others of its address want it, at least."""

_USUAL_TIMES: Final = 3
"""A newcomer keeps its place this many times as long as others lately took to be let in: kas itself may be slow."""

_FORGET: Final = 0.9
"""How much of a long wait for being let in still counts after the next one that was short."""


@dataclass(frozen=True, slots=True)
class NewcomerLimits:
    """Newcomers there may be in all and of one address (IPv6: /64), and after how many seconds each has to go."""

    in_all: int = 2000
    of_an_address: int = 1000
    seconds: float = 10.0


class Newcomers(Generic[T]):
    """The connections that have shown no token, oldest first."""

    def __init__(self, limits: NewcomerLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._of: dict[T, str] = {}
        self._since: dict[str, dict[T, float]] = {}
        self._usual = 0.0

    def __contains__(self, connection: T) -> bool:
        return connection in self._of

    def __len__(self) -> int:
        return len(self._of)

    def enter(self, connection: T, address: str) -> T | None:
        """Take a connection in; return the one that has to go, if any: another one, or this one itself.

        Args:
            connection: the newcomer.
            address: where it comes from, without the port.
        """
        now = self._clock()
        name = household(address)
        own = self._since.get(name, {})
        loser: T | None = None
        if len(own) >= self._limits.of_an_address:
            loser = self._oldest_with_its_chance(own, now)
        elif len(self._of) >= self._limits.in_all:
            most = max(self._since.values(), key=len)
            loser = next(iter(most)) if len(most) > len(own) + 1 else self._oldest_with_its_chance(own, now)
        else:
            self._add(connection, name, now)
            return None
        if loser is None:
            return connection
        self.leave(loser)
        self._add(connection, name, now)
        return loser

    def leave(self, connection: T, *, let_in: bool = False) -> None:
        """Forget a connection: it has ended, or was ``let_in``."""
        name = self._of.pop(connection, None)
        if name is None:
            return
        own = self._since[name]
        since = own.pop(connection)
        if not own:
            del self._since[name]
        if let_in:
            self._usual = max(self._clock() - since, _FORGET * self._usual)

    def renew(self, connection: T) -> None:
        """Have a newcomer's time begin anew; nothing is done for one that is none."""
        if (name := self._of.get(connection)) is not None:
            own = self._since[name]
            del own[connection]
            own[connection] = self._clock()

    def overdue(self) -> list[T]:
        """Return those whose time is over; they are forgotten."""
        until = self._clock() - self._limits.seconds
        over: list[T] = []
        for own in self._since.values():
            for connection, since in own.items():
                if since > until:
                    break
                over.append(connection)
        for connection in over:
            self.leave(connection)
        return over

    def _add(self, connection: T, name: str, now: float) -> None:
        self._of[connection] = name
        self._since.setdefault(name, {})[connection] = now

    def _oldest_with_its_chance(self, own: dict[T, float], now: float) -> T | None:
        patience = max(PATIENCE_SECONDS, _USUAL_TIMES * self._usual)
        for connection, since in own.items():
            return connection if now - since >= patience else None
        return None
