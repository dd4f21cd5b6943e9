"""Looks after connections that nobody in this process has taken in yet, at every port that kas listens on.

gRPC accepts by itself and cannot be told who may wait, nor can asyncio while TLS is being agreed on. But their sockets
are this process's own: now and then all of them are looked at, and those are shut down whose time is over, who are too
many of one address, or who have sent far more than they had to say. The library then finds its connection ended by the
other side. A relay before gRPC could do it at once, and would triple what each agent costs
(docs/decisions/0023-strangers.md).

What is looked at: sockets that are new, all that have not been let in, and a few of the others in turn, so that ten
thousand agents cost a fraction of a percent of a core.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from agentlink import limits, logs
from agentlink.callers import with_port
from agentlink.newcomers import NewcomerLimits, Newcomers
from kas.overhead import Traffic, is_flood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_SECONDS: Final = 1.0
"""How often it is looked."""

MANY_MORE: Final = 100
"""So many new sockets do not wait for the next look; to ask how many there are costs 2 µs."""

SOME: Final = 250
"""Sockets of those that were let in, or are none of our business, that are looked at again each time."""

_DESCRIPTORS: Final = "/proc/self/fd"

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})

_TCP_INFO: Final = struct.Struct("=120xQQ")
"""``tcpi_bytes_acked`` and ``tcpi_bytes_received`` of Linux' ``struct tcp_info``."""

log = logs.get_logger("doorkeeper")


def host_of(peer: str) -> str:
    """Return an address without its port."""
    return peer.rpartition(":")[0] or peer


def peer_of(address: tuple[str, int]) -> str:
    """Return a socket's address as doors are told it."""
    return with_port(*address)


class Door:
    """One port, and who came by it. A ``peer`` is the other end's address with its port."""

    def __init__(self, newcomers: Newcomers[str], *, weighs: bool) -> None:
        self.newcomers = newcomers
        self.weighs = weighs
        self.descriptors: dict[str, int] = {}
        self._brought: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        # Who was let in, and at which look.
        self._inside: dict[str, int] = {}
        self._looks = 0

    def let_in(self, peer: str, brought: int = 0) -> None:
        """Note that a caller is known now, or somebody else's business; ``brought`` are bytes of use that it sent."""
        self._inside[peer] = self._looks
        self.newcomers.leave(peer, let_in=True)
        if brought:
            self._brought[peer] = self._brought.get(peer, 0) + brought

    def refused(self, peer: str) -> None:
        """Note that a call of a caller was refused; the connection of one that goes on with such calls is ended."""
        self._refused[peer] = self._refused.get(peer, 0) + 1
        if self.is_tiresome(peer):
            _end(self, peer, "too many of its calls were refused")

    def is_tiresome(self, peer: str) -> bool:
        """Tell whether too many calls of a caller were refused.

        One that was let in may be a proxy, which brings agents and strangers by one connection.
        """
        return peer not in self._inside and self._refused.get(peer, 0) >= limits.REFUSED_CALLS

    def again(self, peer: str) -> None:
        """Have a newcomer's time begin anew: it has said something, and not yet who it is."""
        self.newcomers.renew(peer)

    def is_inside(self, peer: str) -> bool:
        """Tell whether a caller was let in."""
        return peer in self._inside

    def brought(self, peer: str) -> int:
        """Return how many bytes of use a caller has sent."""
        return self._brought.get(peer, 0)

    def forget(self, peer: str) -> None:
        """Note that a connection has ended."""
        self.newcomers.leave(peer)
        self._inside.pop(peer, None)
        self._brought.pop(peer, None)
        self._refused.pop(peer, None)
        self.descriptors.pop(peer, None)

    def turn(self) -> None:
        """Forget who was let in and had gone before it was looked."""
        gone = [peer for peer, look in self._inside.items() if look < self._looks and peer not in self.descriptors]
        gone += [peer for peer in self._refused if peer not in self.descriptors]
        for peer in gone:
            self.forget(peer)
        self._looks += 1


@dataclass(frozen=True, slots=True)
class _Seen:
    """A connection at a door, since when it is there, and what it had sent by then."""

    door: Door
    peer: str
    since: float


class Doorkeeper:
    """Looks after the ports that it is given."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doors: dict[int, Door] = {}
        # By descriptor; None for what is no connection at a door.
        self._seen: dict[int, _Seen | None] = {}
        self._count = 0
        self._looked = clock()
        self._spare = _spare()

    def door(self, bounds: NewcomerLimits, *, weighs: bool = False) -> Door:
        """Return a door, which has no port yet.

        Args:
            bounds: how many may wait, and how long.
            weighs: whether what a connection sends is held against what it has brought.
        """
        return Door(Newcomers(bounds, clock=self._clock), weighs=weighs)

    def open(self, door: Door, port: int) -> None:
        """Look after a port from now on."""
        self._doors[port] = door
        self._seen.clear()

    def turn(self) -> None:
        """Look if it is time to, or there are many more sockets; to be called often. Nothing is done but on Linux."""
        if sys.platform != "linux":
            return
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS or _how_many() > self._count + MANY_MORE:
            self._looked = now
            self.look()

    def look(self) -> None:
        """Look once."""
        # When there are no more descriptors to be had, this one is: to look, and to end somebody, takes one.
        if self._spare >= 0:
            os.close(self._spare)
        try:
            self._look()
        except OSError as error:
            log.warning("Connections could not be looked after", error=error)
        finally:
            self._spare = _spare()

    def _look(self) -> None:
        count = _how_many()
        # Older kernels do not say how many there are.
        if not count or count != self._count or any(len(door.newcomers) for door in self._doors.values()):
            self._look_around()
        for descriptor in list(islice(self._seen, SOME)):
            self._check(descriptor)
        for door in self._doors.values():
            for peer in door.newcomers.overdue():
                _end(door, peer, "it has not said in time who it is")
            door.turn()
        self._count = count

    def _look_around(self) -> None:
        there = {int(name) for name in os.listdir(_DESCRIPTORS)}  # noqa: PTH208 - ten thousand names, no paths needed
        for descriptor in self._seen.keys() - there:
            seen = self._seen.pop(descriptor)
            if seen is not None:
                seen.door.forget(seen.peer)
        outside = [fd for fd, seen in self._seen.items() if seen is not None and not seen.door.is_inside(seen.peer)]
        for descriptor in (*outside, *(there - self._seen.keys())):
            self._check(descriptor)

    def _check(self, descriptor: int) -> None:
        """Bring what is known of a descriptor up to date; its number may stand for something else by now."""
        before = self._seen.pop(descriptor, None)
        door, peer = None, ""
        with _lent(descriptor) as connection, suppress(OSError):  # of one that listens, or is closed already
            if connection is not None:
                peer = peer_of(connection.getpeername()[:2])
                traffic = Traffic(*_TCP_INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)))
                door = self._doors.get(connection.getsockname()[1])  # last: none where anything fails
        if before is not None and (before.door, before.peer) != (door, peer):
            before.door.forget(before.peer)
            before = None
        if door is None:
            self._seen[descriptor] = None
            return
        seen = before or self._meet(door, peer, descriptor)
        self._seen[descriptor] = seen
        if door.weighs:
            inside = door.is_inside(peer)
            seconds = self._clock() - seen.since
            flood = is_flood(traffic, inside=inside, brought=door.brought(peer), seconds=seconds)
            if flood or door.is_tiresome(peer):
                _end(door, peer, "what it sends is of no use")

    def _meet(self, door: Door, peer: str, descriptor: int) -> _Seen:
        door.descriptors[peer] = descriptor
        if not door.is_inside(peer):
            loser = door.newcomers.enter(peer, host_of(peer))
            if loser is not None:
                _end(door, loser, "too many connections of its address have not said who they are")
        return _Seen(door, peer, self._clock())


def _spare() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _how_many() -> int:
    return os.stat(_DESCRIPTORS).st_size  # noqa: PTH116 - ten times a second


@contextmanager
def _lent(descriptor: int) -> Iterator[socket.socket | None]:
    """Give the TCP connection of a descriptor to look at, None if it is none; somebody else may close it meanwhile."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        yield found if found.type is socket.SOCK_STREAM and found.family in _INTERNET else None
    finally:
        found.detach()


def _end(door: Door, peer: str, why: str) -> None:
    """Shut a connection down; whoever has it finds it ended."""
    try:
        # Of one's own, so that it is this connection whatever becomes of the number.
        own = os.dup(door.descriptors.get(peer, -1))
    except OSError:
        return
    with suppress(OSError), socket.socket(fileno=own) as connection:
        if peer_of(connection.getpeername()[:2]) == peer:
            log.debug("A connection is ended", peer=peer, why=why)
            connection.shutdown(socket.SHUT_RDWR)
