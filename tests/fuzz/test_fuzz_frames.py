"""Whatever Redis brings: a frame or a parcel of another replica as it was sealed, or a refusal.

A change of any bit is refused. What is sealed with the key and yet makes no sense, as from a kas that errs, ends in
nothing worse than a refusal either.
"""

from __future__ import annotations

from hypothesis import strategies as st

from kas.git.parcels import Parcel
from kas.replicas.frames import _HEAD, Beat, Frames, Own, Refused, Said, Stranger, _nonce
from kas.replicas.parcels import ParcelError, _cipher, seal, take
from tests.fuzz.inputs import fuzz

KEY = bytes(range(32))
ONE, TWO = (f"{number:032x}" for number in (1, 2))
SOURCE = b"a source"
PARCEL = Parcel(SOURCE, ("1" * 40,), b"PACK, and so on", (("ref", "2" * 40),))
NOW = 1000.0


def met() -> tuple[Frames, Frames]:
    """Return two replicas that hear each other."""
    one, two = Frames(KEY, ONE), Frames(KEY, TWO)
    for _ in range(2):
        two.open(one.beat(NOW), NOW)
        one.open(two.beat(NOW), NOW)
    return one, two


def changed(whole: bytes, change: bytes) -> bytes:
    """Change at least one bit: where and how, ``change`` says."""
    at = int.from_bytes(change[:2], "big") % len(whole)
    return whole[:at] + bytes([whole[at] ^ (1 << (change[2] & 7))]) + whole[at + 1 :]


@fuzz("frames", made=st.binary(max_size=2000))
def test_foreign_bytes_are_refused_and_remembered_as_nobody(data: bytes) -> None:
    _, two = met()
    for frame in (data, b"\1" + data, b"\1" + bytes.fromhex(ONE) + data):
        assert two.open(frame, NOW) in {Refused.MALFORMED, Refused.FORGED}
        assert two.open(frame, NOW, to=TWO) in {Refused.MALFORMED, Refused.FORGED}
    assert len(two._peers) <= 2


@fuzz("frames", made=st.binary(min_size=3, max_size=40))
def test_what_is_said_arrives_and_with_any_other_bit_is_refused(data: bytes) -> None:
    for to in ("", TWO):
        one, two = met()
        frame = one.seal("topic", data, NOW, to=to)
        if len(data) >= 3:
            assert two.open(changed(frame, data), NOW, to=to) in {Refused.MALFORMED, Refused.FORGED}
        assert two.open(frame[:-1], NOW, to=to) in {Refused.MALFORMED, Refused.FORGED}
        assert two.open(frame + b"\0", NOW, to=to) in {Refused.MALFORMED, Refused.FORGED}
        assert two.open(frame, NOW, to="" if to else TWO) is Refused.FORGED
        assert two.open(frame, NOW, to=to) == Said(ONE, "topic", data, missed=False)
        assert two.open(frame, NOW, to=to) is Refused.REPLAYED


@fuzz("frames", tokens=(b"beat", b"\x04", b"\xff", bytes(24)))
def test_what_is_sealed_and_makes_no_sense_is_heard_or_refused(data: bytes) -> None:
    one, two = met()
    head = _HEAD.pack(1, bytes.fromhex(ONE), 100)
    frame = head + one._cipher(bytes.fromhex(ONE), "").encrypt(_nonce(100), data, head)
    assert isinstance(two.open(frame, NOW), Refused | Said | Beat | Stranger | Own)


@fuzz("parcels", made=st.binary(max_size=2000))
def test_foreign_bytes_are_no_parcel(data: bytes) -> None:
    try:
        _, opened = take(KEY, data)
    except ParcelError:
        return
    assert opened(SOURCE) is None


@fuzz("parcels", made=st.binary(min_size=3, max_size=40))
def test_a_parcel_arrives_and_with_any_other_bit_does_not(data: bytes) -> None:
    sent = seal(KEY, "group/project", PARCEL)
    project, opened = take(KEY, sent)
    assert (project, opened(SOURCE), opened(data)) == ("group/project", PARCEL, None)
    if len(data) >= 3:
        try:
            _, opened = take(KEY, changed(sent, data))
        except ParcelError:
            return
        assert opened(SOURCE) is None


@fuzz("parcels", tokens=(b"[]", b"{}", b"null", b'"shallow":', b'"tips":', b"\xff\xff\xff\xff", b"[" * 900))
def test_a_parcel_that_is_sealed_and_makes_no_sense_is_none(data: bytes) -> None:
    name = b"group/project"
    nonce = bytes(12)
    sent = len(name).to_bytes(2, "big") + name + nonce + _cipher(KEY, SOURCE).encrypt(nonce, data, name)
    try:
        _, opened = take(KEY, sent)
    except ParcelError:
        return
    assert opened(SOURCE) is None or isinstance(opened(SOURCE), Parcel)
