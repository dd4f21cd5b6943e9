"""One replica looks at a project's refs, whoever has its lease, and tells the others what it has found.

The others hold what they were told; what came from the server is handed on to them before. Who begins, or has missed
something, asks; who takes a lease over looks at once, so nothing that was pushed meanwhile is missed. While Redis is
away everybody looks.

What is told is ordered by the clocks of those who tell, and none of them has to be right: where one contradicts another
by its clock, who hears it asks the server, and a time that is ahead of ours counts as now.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from agentlink.logs import get_logger
from kas.git.errors import GitError
from kas.git.parcels import ref_name
from kas.git.sharing import Told
from kas.replicas.parcels import ParcelError, seal, take
from kas.replicas.port import Gap, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.git.parcels import Parcel, Sealed
    from kas.git.refs import GitRef
    from kas.git.sharing import Wake
    from kas.replicas.port import Bus, Heard, Lease, Leases

_TOPIC: Final = "refs"
_PARCELS: Final = "parcels"

_HELD: Final = 64
"""Parcels that wait until what they are for is told; of 256 KiB at most."""

_POKED: Final = 1000
_POKED_SECONDS: Final = 30.0
"""Pokes of so many projects in so many seconds are said once more to who may have missed them."""

_TICK: Final = timedelta(microseconds=1)
_SKEW: Final = timedelta(minutes=1)
"""By how much the clocks of replicas may differ without anything being thought of it."""

log = get_logger("replicas")


class _Part:
    """See ``kas.git.sharing.Part``. Refs are known by their digest here."""

    def __init__(self, owner: SharedRefs, project: str, wake: Wake) -> None:
        self.project = project
        self.lease: Lease | None = None
        self.found: dict[str, Told] = {}
        self._owner = owner
        self._wake = wake

    @property
    def looks(self) -> bool:
        return self.lease is not None and self.lease.standing is not Standing.OTHERS

    def told(self, ref: GitRef) -> Told | None:
        key = ref_name(ref)
        if key not in self.found:
            self._owner.ask(self.project, key)
        return self.found.get(key)

    def tell(self, ref: GitRef, told: Told) -> None:
        key = ref_name(ref)
        before = self.found.get(key)
        if before is not None:
            if (before.commit, str(before.error)) == (told.commit, str(told.error)):
                return
            if told.at <= before.at:  # who looked before has a clock that is ahead
                told = Told(told.commit, told.error, before.at + _TICK)
        self.found[key] = told
        self._owner.say(self.project, key, told)

    @property
    def shares(self) -> bool:
        return self._owner.shares

    def hand_on(self, parcel: Parcel) -> None:
        self._owner.hand_on(self.project, parcel)

    def handed_on(self) -> list[Sealed]:
        return self._owner.handed_on(self.project)

    def hear(self, key: str, told: Told) -> None:
        self.found[key] = in_order(told, self.found.get(key), datetime.now(UTC))
        self._wake(look=False)

    def look(self) -> None:
        self._wake(look=True)

    def again(self) -> None:
        """Ask for everything: something was missed."""
        if self.looks:
            self.look()
            return
        for key in self.found:
            self._owner.ask(self.project, key)


class SharedRefs:
    """``kas.git.sharing.Sharing`` among replicas.

    Args:
        bus: reaches them.
        leases: say which one looks.
        key: what all of them know, and nobody else; without one, nothing is handed on.
    """

    def __init__(self, bus: Bus, leases: Leases, key: bytes = b"") -> None:
        self._bus = bus
        self._leases = leases
        self._key = key
        self._parts: dict[str, _Part] = {}
        self._held: deque[tuple[str, Sealed]] = deque(maxlen=_HELD)
        self._poked: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the other replicas as long as the block runs."""
        with self._bus.listen(_TOPIC, self._heard), self._bus.listen(_PARCELS, self._heard_parcel):
            yield

    @contextmanager
    def part(self, project: str, wake: Wake) -> Iterator[_Part]:
        """See ``Sharing``."""
        part = self._parts[project] = _Part(self, project, wake)
        try:
            with self._leases.want(f"project:{_digest(project)}", part.look) as lease:
                part.lease = lease
                yield part
        finally:
            del self._parts[project]

    def poke(self, project: str) -> None:
        """See ``Sharing``."""
        self._poked[project] = time.monotonic()
        self._poked.move_to_end(project)
        if len(self._poked) > _POKED:
            self._poked.popitem(last=False)
        self._publish({"poke": project})

    def say(self, project: str, key: str, told: Told, *, to: str = "") -> None:
        """Tell the others what is known of a ref."""
        error = told.error and [told.error.reason, str(told.error), told.error.retryable]
        at = told.at.isoformat()
        self._publish({"project": project, "ref": key, "commit": told.commit, "error": error, "at": at}, to=to)

    def ask(self, project: str, key: str) -> None:
        """Ask whoever looks."""
        self._publish({"ask": project, "ref": key})

    @property
    def shares(self) -> bool:
        """Whether anything is handed on."""
        return bool(self._key)

    def hand_on(self, project: str, parcel: Parcel) -> None:
        """Let the others have a parcel."""
        if sent := seal(self._key, project.encode(errors="replace").decode(), parcel):
            self._bus.publish(_PARCELS, sent)

    def handed_on(self, project: str) -> list[Sealed]:
        """Return what the others have handed on, once."""
        found = [sealed for of, sealed in self._held if of == project]
        self._held = deque(((of, sealed) for of, sealed in self._held if of != project), _HELD)
        return found

    def _heard_parcel(self, heard: Heard) -> None:
        if isinstance(heard, Gap) or not self._key:
            return  # the server has it, too
        try:
            project, sealed = take(self._key, heard.body)
        except ParcelError as error:
            log.warning("What another replica has handed on is no parcel", sender=heard.sender, why=str(error))
            return
        if project in self._parts:
            self._held.append((project, sealed))

    def _publish(self, said: dict[str, object], *, to: str = "") -> None:
        # Paths of projects come from configurations, and may be no Unicode.
        self._bus.publish(_TOPIC, orjson.dumps({name: _safe(value) for name, value in said.items()}), to=to)

    def _heard(self, heard: Heard) -> None:
        if isinstance(heard, Gap):
            if heard.sender:
                self._publish({"all": True}, to=heard.sender)
                return
            for part in list(self._parts.values()):
                part.again()
            return
        said = orjson.loads(heard.body)
        if "all" in said:
            self._say_all(heard.sender)
            return
        if "poke" in said:
            self._look(said["poke"].lower())
            return
        found = self._parts.get(said.get("ask") or said.get("project"))
        if found is None:
            return
        if "ask" in said:
            told = found.found.get(said["ref"])
            if found.looks and told is not None:
                self.say(found.project, said["ref"], told, to=heard.sender)
        else:
            found.hear(said["ref"], _told_of(said))

    def _look(self, lowered: str) -> None:
        """Look at the project of this path, however it is written: Git servers take paths in capitals or not."""
        for part in self._parts.values():
            if part.project.lower() == lowered:
                part.look()

    def _say_all(self, to: str) -> None:
        """Say again what another one may have missed: what was found here, and who was poked just now."""
        for project, at in self._poked.items():
            if time.monotonic() < at + _POKED_SECONDS:
                self._publish({"poke": project}, to=to)
        for part in self._parts.values():
            if part.looks:
                for key, told in part.found.items():
                    self.say(part.project, key, told, to=to)


def in_order(told: Told, before: Told | None, now: datetime) -> Told:
    """Return what to make of what is told ``now``, where ``before`` is what was known. Pure."""
    if told.at > now + _SKEW:
        told = replace(told, at=now)
    if before is None or told.at >= before.at:
        return told
    if (told.commit, str(told.error)) == (before.commit, str(before.error)):
        return before
    return replace(told, at=before.at + _TICK, sure=False)


def _safe(value: object) -> object:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:32]


def _told_of(said: dict[str, object]) -> Told:
    error, commit = said["error"], said["commit"]
    found = None
    if isinstance(error, list):
        reason, message, retryable = error
        found = GitError(reason, message, retryable=bool(retryable))
    return Told(str(commit) if commit else None, found, datetime.fromisoformat(str(said["at"])))
