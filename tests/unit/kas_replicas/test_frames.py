"""What is heard of what Redis brings: only what another replica said, to who hears it, just now, once and in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from kas.replicas.frames import FRESH_SECONDS, Beat, Frames, Own, Refused, Said, Stranger
from kas.replicas.port import MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = bytes(range(32))
ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))


@dataclass
class Pair:
    """Two replicas that hear each other, and one clock. ``late`` is one that has just started."""

    now: float = 1000.0
    one: Frames = field(default_factory=lambda: Frames(KEY, ONE))
    two: Frames = field(default_factory=lambda: Frames(KEY, TWO))

    def meet(self) -> None:
        for _ in range(2):
            for sayer, hearer in ((self.one, self.two), (self.two, self.one)):
                hearer.open(sayer.beat(self.now), self.now)

    def heard(self, frame: bytes, *, to: str = "") -> object:
        return self.two.open(frame, self.now, to=to)


@pytest.fixture
def pair() -> Pair:
    found = Pair()
    found.meet()
    return found


def test_what_one_says_is_heard_by_all_or_by_who_it_is_for(pair: Pair) -> None:
    assert pair.heard(pair.one.seal("t", b"to all", pair.now)) == Said(ONE, "t", b"to all", missed=False)
    assert pair.heard(pair.one.seal("t", b"to you", pair.now, to=TWO), to=TWO) == Said(
        ONE, "t", b"to you", missed=False
    )
    assert pair.heard(pair.one.seal("", bytes(100_000), pair.now)) == Said(ONE, "", bytes(100_000), missed=False)


def test_nothing_of_it_can_be_read_but_who_says_it(pair: Pair) -> None:
    frame = pair.one.seal("commands", b"prune everything", pair.now, to=TWO)
    assert frame[1:17].hex() == ONE
    for text in (b"commands", b"prune", bytes.fromhex(TWO)):
        assert text not in frame
    assert pair.one.seal("t", b"the same", pair.now)[25:] != pair.one.seal("t", b"the same", pair.now)[25:]


def test_not_a_bit_of_it_may_be_another(pair: Pair) -> None:
    frame = pair.one.seal("t", b"something", pair.now)
    for at in range(len(frame)):
        for bit in range(8):
            changed = frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]
            assert pair.heard(changed) is (Refused.FORGED if at else Refused.MALFORMED)
    assert isinstance(pair.heard(frame), Said)


def test_none_of_it_may_be_missing_and_nothing_added(pair: Pair) -> None:
    frame = pair.one.seal("t", b"something", pair.now)
    for length in range(len(frame)):
        assert pair.heard(frame[:length]) in {Refused.FORGED, Refused.MALFORMED}
    assert pair.heard(frame + b"\0") is Refused.FORGED
    assert pair.heard(bytes(MESSAGE_BYTES + 1000)) is Refused.MALFORMED
    assert isinstance(pair.heard(frame), Said)


FORGERIES: dict[str, Callable[[Pair], object]] = {
    "with another key": lambda p: p.heard(Frames(bytes(32), ONE).seal("t", b"", p.now)),
    "to all, said to one": lambda p: p.heard(p.one.seal("t", b"", p.now), to=TWO),
    "to one, said to all": lambda p: p.heard(p.one.seal("t", b"", p.now, to=TWO)),
    "to one, said to another": lambda p: p.heard(p.one.seal("t", b"", p.now, to=THREE), to=TWO),
    "in another's name": lambda p: p.heard(_named(p.one.seal("t", b"", p.now), THREE)),
    "under another number": lambda p: p.heard(_numbered(p.one.seal("t", b"", p.now), 99)),
}


def _named(frame: bytes, sender: str) -> bytes:
    return frame[:1] + bytes.fromhex(sender) + frame[17:]


def _numbered(frame: bytes, number: int) -> bytes:
    return frame[:17] + number.to_bytes(8, "big") + frame[25:]


@pytest.mark.parametrize("how", FORGERIES)
def test_what_is_forged_is_refused_and_changes_nothing(pair: Pair, how: str) -> None:
    assert FORGERIES[how](pair) is Refused.FORGED
    said = pair.heard(pair.one.seal("t", b"", pair.now))
    assert isinstance(said, Said)


@pytest.mark.parametrize("to", ["", TWO])
def test_what_was_heard_is_not_heard_again_nor_what_was_before_it(pair: Pair, to: str) -> None:
    frames = [pair.one.seal("t", bytes([number]), pair.now, to=to) for number in range(4)]
    assert isinstance(pair.heard(frames[0], to=to), Said)
    assert pair.heard(frames[0], to=to) is Refused.REPLAYED
    assert pair.heard(frames[2], to=to) == Said(ONE, "t", b"\2", missed=True)
    assert pair.heard(frames[1], to=to) is Refused.REPLAYED
    assert pair.heard(frames[3], to=to) == Said(ONE, "t", b"\3", missed=False)


def test_what_was_not_said_is_missed(pair: Pair) -> None:
    pair.one.skip()
    assert pair.heard(pair.one.beat(pair.now)) == Beat(ONE, missed=True, met=False)
    pair.one.skip(TWO)
    assert pair.heard(pair.one.seal("t", b"", pair.now, to=TWO), to=TWO) == Said(ONE, "t", b"", missed=True)


def test_who_has_just_started_believes_nothing_that_was_recorded(pair: Pair) -> None:
    recorded = [pair.one.beat(pair.now), pair.one.seal("t", b"", pair.now)]
    direct = pair.one.seal("t", b"", pair.now, to=TWO)
    again = Frames(KEY, TWO)  # as if it had the same id, which it never has
    again.beat(pair.now + 1)
    assert [type(again.open(frame, pair.now + 1)) for frame in recorded] == [Stranger, Refused]
    assert again.open(direct, pair.now + 1, to=TWO) is Refused.STALE
    # That one is there shows when it has heard of it.
    pair.one.open(again.beat(pair.now + 1), pair.now + 1)
    assert again.open(pair.one.beat(pair.now + 1), pair.now + 1) == Beat(ONE, missed=False, met=True)
    assert isinstance(again.open(pair.one.seal("t", b"", pair.now + 1), pair.now + 1), Said)


def test_a_replica_that_is_no_more_is_not_believed_though_all_it_said_is_said_again(pair: Pair) -> None:
    late = Frames(KEY, THREE)
    recorded = [pair.one.beat(pair.now) for _ in range(3)] + [pair.one.seal("t", b"", pair.now)]
    for step in range(3):
        late.beat(pair.now + step)
        for frame in recorded:
            assert isinstance(late.open(frame, pair.now + step), (Stranger, Refused))
    assert not late.hears(ONE, pair.now + 3)


@pytest.mark.parametrize("to", ["", TWO])
def test_what_was_held_back_is_refused_when_it_comes_late(pair: Pair, to: str) -> None:
    frame = pair.one.seal("t", b"order", pair.now, to=to)
    beat = pair.one.beat(pair.now)
    pair.now += FRESH_SECONDS - 0.1
    in_time = Pair(pair.now, pair.one, pair.two).heard(frame, to=to)
    assert isinstance(in_time, Said)
    held = pair.one.seal("t", b"order", pair.now, to=to)
    pair.now += FRESH_SECONDS
    if not to:
        assert isinstance(pair.heard(beat), Stranger), "nor does a beat that was held back make it younger"
    assert pair.heard(held, to=to) is Refused.STALE
    # While both talk on, what is held back gets no younger.
    pair.meet()
    late = pair.one.seal("t", b"order", pair.now, to=TWO)
    for _ in range(12):
        pair.now += 1
        pair.meet()
    assert pair.heard(late, to=TWO) is Refused.STALE
    assert isinstance(pair.heard(pair.one.seal("t", b"new", pair.now, to=TWO), to=TWO), Said)


def test_who_was_not_heard_for_a_while_is_met_anew(pair: Pair) -> None:
    pair.now += FRESH_SECONDS
    assert not pair.two.hears(ONE, pair.now)
    assert pair.heard(pair.one.seal("t", b"", pair.now)) is Refused.STALE
    pair.one.open(pair.two.beat(pair.now), pair.now)
    assert pair.heard(pair.one.beat(pair.now)) == Beat(ONE, missed=False, met=True)


def test_own_words_come_back_once(pair: Pair) -> None:
    beat, word = pair.one.beat(pair.now), pair.one.seal("t", b"", pair.now)
    assert pair.one.open(beat, pair.now) == Own(beat=True)
    assert pair.one.open(word, pair.now) == Own(beat=False)
    assert pair.one.open(beat, pair.now) is Refused.REPLAYED


def test_many_that_were_there_once_push_out_nobody_who_is_and_let_nothing_in_again(pair: Pair) -> None:
    order = pair.one.seal("t", b"order", pair.now, to=TWO)
    assert isinstance(pair.heard(order, to=TWO), Said)
    for number in range(10, 1000):
        former = Frames(KEY, f"{number:032x}")
        assert isinstance(pair.heard(former.beat(pair.now)), Stranger)
    assert pair.heard(order, to=TWO) is Refused.REPLAYED
    assert pair.two.hears(ONE, pair.now)
    assert len(pair.two.beat(pair.now)) < 20_000
    pair.one.open(pair.two.beat(pair.now), pair.now)
    assert isinstance(pair.heard(pair.one.beat(pair.now)), Beat)
