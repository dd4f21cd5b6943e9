"""Who has the lease, as one candidate sees it: what was read and written in, what to do next out. Pure, no clock.

As Kubernetes' own controllers do it. No clock is ever compared with another machine's: whether somebody else's lease
has run out is judged by how long it has been seen unchanged here, and how long our own lasts is counted from before the
request that renewed it left. All times are seconds on one clock of this machine that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from agentk.kube.lease import Lease

LONGEST_SECONDS: Final = 60
"""The longest duration that a replica may be given. A lease that claims more is damaged, and waited for this long."""

_MOST_TRANSITIONS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a lease lasts, in whole seconds from 1 to 60; all else follows as in Kubernetes' own controllers."""

    seconds: int = 15

    @property
    def deadline(self) -> float:
        """Return for how long after a renewal its holder may write: well before others may."""
        return self.seconds * 2 / 3

    @property
    def retry(self) -> float:
        """Return how often it is renewed, and how far attempts are apart."""
        return self.seconds * 2 / 15


@dataclass(frozen=True, slots=True)
class Term:
    """One time of having the lease; a later one of the same candidate is another, since others may have had it between.

    The number of transitions is raised with every term.
    """

    uid: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before ``until``, unless there is news."""

    until: float


@dataclass(frozen=True, slots=True)
class Read:
    """Read the lease and say what was ``saw``."""


@dataclass(frozen=True, slots=True)
class Take:
    """Take the lease, which is ``before`` and nobody's, with this many transitions; then ``took``."""

    before: Lease | None
    transitions: int


@dataclass(frozen=True, slots=True)
class Renew:
    """Renew the lease, which is ours and ``before``; then ``renewed``."""

    before: Lease


Step: TypeAlias = Wait | Read | Take | Renew


class Election:
    """One candidate for one lease. ``identity`` is no other process' (see ``identity``)."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self._identity = identity
        self._timing = timing
        self._lease: Lease | None = None
        self._known = False
        self._free_at = 0.0
        self._not_before = 0.0
        self._read_at = 0.0
        self._conflicts = 0
        self._term: Term | None = None
        self._renewed_at = 0.0

    @property
    def term(self) -> Term | None:
        """Return the term that has begun and not ended; it may be unclear whether it goes on (``open_until``)."""
        return self._term

    @property
    def open_until(self) -> float:
        """Return until when the term allows writing."""
        return self._renewed_at + self._timing.deadline if self._term is not None else 0.0

    @property
    def lease(self) -> Lease | None:
        """Return the lease as last seen."""
        return self._lease

    @property
    def other(self) -> str:
        """Return who else had it when it was last seen, empty if nobody."""
        holder = self._lease.holder if self._lease is not None else ""
        return holder if holder != self._identity else ""

    def step(self, now: float) -> Step:
        """Return what to do; ask again after doing it, after the wait, and after any news."""
        if now < self._not_before:
            return Wait(self._not_before)
        if not self._known:
            return Read()
        if self._term is not None and self._lease is not None:
            due = self._renewed_at + self._timing.retry
            return Renew(self._lease) if now >= due else Wait(due)
        if now >= self._free_at:
            before = self._lease.transitions if self._lease is not None else -1
            return Take(self._lease, before + 1 if before < _MOST_TRANSITIONS else 0)
        # Looking again also finds out what a watch that broke unnoticed would not tell.
        look = self._read_at + self._timing.retry
        return Read() if now >= look else Wait(min(look, self._free_at))

    def saw(self, lease: Lease | None, now: float) -> None:
        """Take in the lease as it was read, or as a watch told; None when there is none."""
        self._read_at = now
        if lease is not None and _is_older(lease, self._lease):
            return
        before, self._lease, self._known = self._lease, lease, True
        if lease is None:
            if before is not None and before.holder not in {"", self._identity}:
                # Somebody deleted it, and its holder need not know yet.
                self._free_at = now + self._lasts(before)
        elif lease.holder in {"", self._identity}:
            self._free_at = now
        elif _content(lease) != _content(before):
            self._free_at = now + self._lasts(lease)
        if self._term is not None and (lease is None or _term(lease) != self._term or lease.holder != self._identity):
            self._term = None

    def took(self, lease: Lease, asked_at: float, now: float) -> None:
        """Take in that the lease became ours, by a request that left after ``asked_at``."""
        self.saw(lease, now)
        if self._lease is lease:
            self._conflicts = 0
            self._term = _term(lease)
            self._renewed_at = asked_at

    def renewed(self, lease: Lease, asked_at: float, now: float) -> None:
        """Take in that our lease was renewed, by a request that left after ``asked_at``."""
        self.saw(lease, now)
        if self._term is not None and _term(lease) == self._term:
            self._conflicts = 0
            self._renewed_at = max(self._renewed_at, asked_at)

    def conflicted(self, now: float) -> None:
        """Take in that somebody else wrote in between: look who it was, at once unless that happens again and again."""
        self._known = False
        self._conflicts += 1
        if self._conflicts > 1:
            self._not_before = now + self._timing.retry / 4

    def failed(self, now: float) -> None:
        """Take in that there was no answer or a refusal: what a write did is not known, and all is tried again."""
        self._known = False
        self._not_before = now + self._timing.retry

    def abandon(self) -> None:
        """End the term: it cannot be renewed and nobody expects it to be."""
        self._term = None

    def _lasts(self, lease: Lease) -> float:
        """Return for how long somebody else's lease must be left alone; never less than any replica would write on."""
        said = lease.seconds if lease.seconds is not None and lease.seconds > 0 else LONGEST_SECONDS
        return float(max(self._timing.seconds, min(said, LONGEST_SECONDS)))


def _term(lease: Lease) -> Term:
    return Term(lease.uid, lease.transitions)


def _content(lease: Lease | None) -> tuple[object, ...]:
    """Return what tells one renewal from the next; a label that somebody put on the lease is no renewal."""
    if lease is None:
        return ()
    return (lease.uid, lease.holder, lease.renewed, lease.transitions, lease.seconds)


def _is_older(lease: Lease, known: Lease | None) -> bool:
    """Tell whether ``lease`` is from before ``known``: a watch and the answers to requests overtake each other."""
    if known is None or known.uid != lease.uid:
        return False
    if lease.version.isdigit() and known.version.isdigit():
        return int(lease.version) < int(known.version)
    return False
