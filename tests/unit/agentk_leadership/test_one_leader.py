"""Never two leaders at once, whatever is delayed, lost or frozen, and a leader again when everything works."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from agentk.kube.lease import Lease
from agentk.leadership.election import Election, Renew, Step, Take, Timing, Wait

CANDIDATES = 3


@dataclass
class Server:
    """An API server: it refuses a write that does not stand on the newest version."""

    lease: Lease | None = None
    version: int = 0

    def handle(self, who: str, step: Step, seconds: int) -> Lease | str | None:
        """Return the answer: a lease, None where there is none, ``conflict`` or ``gone``."""
        self.version += 1
        now = str(self.version)
        match step:
            case Take(None, transitions):
                if self.lease is not None:
                    return "conflict"
                self.lease = Lease(f"uid-{now}", now, who, seconds, transitions, now)
            case Take(before, transitions):
                if self.lease != before:
                    return "conflict" if self.lease else "gone"
                assert before is not None
                self.lease = replace(
                    before, version=now, holder=who, seconds=seconds, transitions=transitions, renewed=now
                )
            case Renew(before):
                if self.lease != before:
                    return "conflict" if self.lease else "gone"
                self.lease = replace(before, version=now, renewed=now)
        return self.lease


@dataclass
class Request:
    """A request under way: not yet at the server, or answered and not yet back."""

    step: Step
    asked_at: float
    handled: bool = False
    answer: Lease | str | None = None


@dataclass
class Candidate:
    """A replica: a clock of its own, at most one request under way, and it may be frozen."""

    name: str
    ahead: float
    timing: Timing
    election: Election = field(init=False)
    under_way: Request | None = None

    def __post_init__(self) -> None:
        self.election = Election(self.name, self.timing)

    def may_write(self, now: float) -> bool:
        """Whether its guard is open at this true time."""
        return now + self.ahead < self.election.open_until

    def step(self, now: float) -> None:
        """Begin what comes next, if nothing is under way."""
        step = self.election.step(now + self.ahead)
        if self.under_way is None and not isinstance(step, Wait):
            self.under_way = Request(step, now + self.ahead)

    def reach(self, server: Server) -> None:
        """Let the request arrive."""
        if self.under_way is not None and not self.under_way.handled:
            self.under_way.answer = server.handle(self.name, self.under_way.step, self.timing.seconds)
            self.under_way.handled = True

    def answer(self, now: float) -> None:
        """Let the answer arrive."""
        request = self.under_way
        if request is None or not request.handled:
            return
        self.under_way = None
        at, election = now + self.ahead, self.election
        if request.answer == "conflict":
            election.conflicted(at)
        elif request.answer == "gone":
            election.saw(None, at)
        elif isinstance(request.answer, Lease) and isinstance(request.step, Take):
            election.took(request.answer, request.asked_at, at)
        elif isinstance(request.answer, Lease) and isinstance(request.step, Renew):
            election.renewed(request.answer, request.asked_at, at)
        elif not isinstance(request.answer, str):
            election.saw(request.answer, at)

    def lose(self, now: float) -> None:
        """Lose what is under way, the request or the answer."""
        if self.under_way is not None:
            self.under_way = None
            self.election.failed(now + self.ahead)

    def see(self, server: Server, now: float) -> None:
        """Hear from a watch how things are."""
        self.election.saw(server.lease, now + self.ahead)

    def restart(self, server: Server) -> None:
        """Crash, and come back with the same identity; what was under way still arrives."""
        self.reach(server)
        self.election = Election(self.name, self.timing)
        self.under_way = None


Event: TypeAlias = tuple[str, int, float]

EVENTS = st.tuples(
    st.sampled_from(["step", "reach", "answer", "lose", "see", "restart", "turn", "turn"]),
    st.integers(0, CANDIDATES - 1),
    # How much time passes before it: mostly nothing, often about as much as matters to a lease of 1 s, seldom much.
    st.one_of(st.just(0.0), st.just(0.0), st.sampled_from([0.1, 0.3, 0.6, 0.9]), st.floats(0, 20)),
)


def happen(candidate: Candidate, server: Server, what: str, now: float) -> None:
    match what:
        case "step":
            candidate.step(now)
        case "reach":
            candidate.reach(server)
        case "answer":
            candidate.answer(now)
        case "lose":
            candidate.lose(now)
        case "see":
            candidate.see(server, now)
        case "restart":
            candidate.restart(server)
        case _:
            candidate.step(now)
            candidate.reach(server)
            candidate.answer(now)


def leaders(candidates: list[Candidate], now: float) -> list[str]:
    return [candidate.name for candidate in candidates if candidate.may_write(now)]


@settings(max_examples=400, deadline=None)
@given(
    ahead=st.lists(st.floats(0, 1e6), min_size=CANDIDATES, max_size=CANDIDATES),
    seconds=st.lists(st.sampled_from([1, 1, 1, 2, 15]), min_size=CANDIDATES, max_size=CANDIDATES),
    events=st.lists(EVENTS, max_size=80),
)
def test_there_are_never_two_leaders_and_when_all_works_there_is_one(
    ahead: list[float], seconds: list[int], events: list[Event]
) -> None:
    server = Server()
    candidates = [Candidate(str(n), ahead[n], Timing(seconds[n])) for n in range(CANDIDATES)]
    now = 0.0
    for what, who, passed in events:
        now += passed
        assert len(leaders(candidates, now)) <= 1
        happen(candidates[who], server, what, now)
        assert len(leaders(candidates, now)) <= 1

    # From here on everybody gets its turns: before long somebody leads, and stays.
    last: list[str] = []
    for _ in range(800):
        now += 0.1
        for candidate in candidates:
            happen(candidate, server, "turn", now)
            assert len(leaders(candidates, now)) <= 1
        last = leaders(candidates, now)
    assert len(last) == 1
