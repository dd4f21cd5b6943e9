"""What one candidate does, step by step, on clocks that agree with nobody's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.kube.lease import Lease
from agentk.leadership.election import LONGEST_SECONDS, Election, Read, Renew, Take, Term, Timing, Wait

TIMING = Timing(15)
OTHERS = Lease(uid="u", version="5", holder="other", seconds=15, transitions=3, renewed="2001-01-01T00:00:00.000000Z")
FREE = replace(OTHERS, version="6", holder="")


def mine(version: str, *, transitions: int = 4, renewed: str = "r1", uid: str = "u") -> Lease:
    return Lease(uid=uid, version=version, holder="me", seconds=15, transitions=transitions, renewed=renewed)


def leading(now: float = 100.0) -> Election:
    election = Election("me", TIMING)
    election.saw(FREE, now)
    election.took(mine("7"), asked_at=now, now=now)
    return election


def test_a_candidate_looks_first_and_takes_a_lease_that_nobody_has() -> None:
    election = Election("me", TIMING)
    assert election.step(1000.0) == Read()

    election.saw(None, 1000.0)
    assert election.step(1000.0) == Take(None, 0)

    election.took(mine("1", transitions=0), asked_at=1000.0, now=1000.2)
    assert election.term == Term("u", 0)
    assert election.open_until == 1010.0


def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    election = Election("me", TIMING)
    election.saw(OTHERS, 0.0)
    assert isinstance(election.step(0.0), Wait)

    election.saw(FREE, 3.0)

    assert election.step(3.0) == Take(FREE, 4)


def test_our_own_lease_of_an_earlier_life_is_taken_at_once_for_a_new_term() -> None:
    election = Election("me", TIMING)
    election.saw(mine("9"), 0.0)

    assert election.step(0.0) == Take(mine("9"), 5)


@pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2999-12-31T23:59:59.000000Z", "nonsense", ""])
def test_anothers_lease_runs_out_when_it_was_seen_unchanged_for_its_duration_whatever_its_own_times_say(
    renewed: str,
) -> None:
    election = Election("me", TIMING)
    lease = replace(OTHERS, renewed=renewed)
    election.saw(lease, 1000.0)
    election.saw(lease, 1014.9)
    assert election.step(1014.9) == Wait(1015.0)

    assert election.step(1015.0) == Take(lease, 4)


def test_every_renewal_of_another_begins_the_wait_anew_and_a_label_does_not() -> None:
    election = Election("me", TIMING)
    election.saw(OTHERS, 0.0)
    election.saw(replace(OTHERS, version="6", renewed="later"), 10.0)
    election.saw(replace(OTHERS, version="7", renewed="later"), 20.0)

    assert election.step(24.9) == Read()
    assert isinstance(election.step(25.0), Take)


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [
        (15, 15),
        (40, 40),
        (1, 15),
        (None, LONGEST_SECONDS),
        (0, LONGEST_SECONDS),
        (-5, LONGEST_SECONDS),
        (2**31 - 1, LONGEST_SECONDS),
    ],
)
def test_a_duration_is_believed_within_bounds(seconds: int | None, lasts: float) -> None:
    election = Election("me", TIMING)
    lease = replace(OTHERS, seconds=seconds)
    election.saw(lease, 0.0)

    assert not isinstance(election.step(lasts - 0.1), Take)
    assert isinstance(election.step(lasts), Take)


def test_a_leader_renews_in_time_and_may_write_for_two_thirds_of_the_duration_from_before_it_asked() -> None:
    election = leading(100.0)
    assert election.step(101.9) == Wait(102.0)
    assert election.step(102.0) == Renew(mine("7"))

    election.renewed(mine("8", renewed="r2"), asked_at=102.0, now=109.0)

    assert election.open_until == 112.0


def test_a_leader_that_gets_no_answer_looks_again_and_keeps_its_term_until_it_knows_better() -> None:
    election = leading(100.0)
    election.failed(103.0)
    assert election.step(103.0) == Wait(105.0)
    assert election.step(105.0) == Read()
    assert election.open_until == 110.0

    election.saw(mine("8", renewed="r2"), 300.0)
    assert election.term == Term("u", 4)
    assert election.open_until == 110.0
    assert election.step(300.0) == Renew(mine("8", renewed="r2"))

    election.renewed(mine("9", renewed="r3"), asked_at=300.0, now=300.1)
    assert election.open_until == 310.0


@pytest.mark.parametrize(
    "seen",
    [
        OTHERS,
        replace(OTHERS, version="8"),
        replace(FREE, version="9", transitions=5),
        mine("9", transitions=6),
        mine("9", uid="another"),
        None,
    ],
    ids=["older", "another's", "given back by another", "a later term of our own", "another object", "deleted"],
)
def test_a_term_ends_when_others_may_have_had_the_lease(seen: Lease | None) -> None:
    election = leading(100.0)

    election.saw(seen, 101.0)

    assert (election.term is not None) == (seen is OTHERS)


def test_a_leader_whose_lease_was_deleted_makes_it_anew_for_a_new_term() -> None:
    election = leading(100.0)
    election.saw(None, 101.0)

    assert election.step(101.0) == Take(None, 0)


def test_who_saw_another_leading_waits_when_its_lease_is_deleted() -> None:
    election = Election("me", TIMING)
    election.saw(OTHERS, 0.0)
    election.saw(None, 10.0)
    election.saw(None, 12.0)

    assert not isinstance(election.step(24.9), Take)
    assert election.step(25.0) == Take(None, 0)


def test_after_a_conflict_it_looks_at_once_and_then_less_hastily() -> None:
    election = leading(100.0)
    election.conflicted(102.0)
    assert election.step(102.0) == Read()

    election.conflicted(102.0)
    assert election.step(102.0) == Wait(102.5)


def test_an_answer_that_was_overtaken_begins_no_term() -> None:
    election = Election("me", TIMING)
    election.saw(FREE, 0.0)
    election.saw(replace(OTHERS, version="9"), 20.0)

    election.took(mine("7"), asked_at=0.0, now=20.1)

    assert election.term is None
    assert election.other == "other"


def test_a_term_that_was_taken_before_a_long_stop_allows_nothing_until_it_is_renewed() -> None:
    election = Election("me", TIMING)
    election.saw(FREE, 0.0)
    election.took(mine("7"), asked_at=0.0, now=500.0)

    assert election.open_until == 10.0
    assert election.step(500.0) == Renew(mine("7"))


def test_transitions_stay_a_number_that_the_server_takes() -> None:
    election = Election("me", TIMING)
    election.saw(replace(FREE, transitions=2**31 - 1), 0.0)

    assert election.step(0.0) == Take(replace(FREE, transitions=2**31 - 1), 0)
