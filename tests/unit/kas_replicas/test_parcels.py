"""A parcel opens for who would have got it from the same place in the same way, and only as it was sent."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kas.git.parcels import MOST_BYTES, Parcel, source_of
from kas.git.remotes import Credential, Remote
from kas.replicas.derived import derive
from kas.replicas.parcels import ParcelError, seal, take

KEY = b"k" * 32
URL = "https://git.example.com/group/project.git"
SOURCE = source_of(Remote(URL, Credential("kas", "secret"), None))
PARCEL = Parcel(SOURCE, ("1" * 40,), b"PACK, and so on", (("ref", "2" * 40),))
SENT = seal(KEY, "group/project", PARCEL)


def test_it_arrives_as_it_was_sent() -> None:
    project, sealed = take(KEY, SENT)
    assert (project, sealed(SOURCE)) == ("group/project", PARCEL)


@pytest.mark.parametrize(
    "remote",
    [
        Remote(URL, None, None),
        Remote(URL, Credential("kas", "another"), None),
        Remote(URL, Credential("another", "secret"), None),
        Remote(URL, Credential("kas\0secret", ""), None),
        Remote("https://git.example.com/group/other.git", Credential("kas", "secret"), None),
    ],
)
def test_it_stays_shut_for_who_asks_elsewhere_or_otherwise(remote: Remote) -> None:
    assert take(KEY, SENT)[1](source_of(remote)) is None


def test_it_stays_shut_for_who_has_another_key() -> None:
    assert take(b"another", SENT)[1](SOURCE) is None


def test_not_a_bit_of_it_may_be_another() -> None:
    for at in range(len(SENT)):
        changed = SENT[:at] + bytes([SENT[at] ^ 1]) + SENT[at + 1 :]
        with contextlib.suppress(ParcelError):  # it cannot even be read
            assert take(KEY, changed)[1](SOURCE) is None


def test_none_of_it_may_be_missing() -> None:
    for length in range(len(SENT)):
        with contextlib.suppress(ParcelError):
            assert take(KEY, SENT[:length])[1](SOURCE) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{}",
        b"[]",
        b"1",
        b"{",
        b'{"shallow": 1, "tips": []}',
        b'{"shallow": ["x"], "tips": []}',
        b'{"shallow": [[]], "tips": []}',
        b'{"shallow": [], "tips": ["x"]}',
        b'{"shallow": [], "tips": [["ref", "main"]]}',
        b'{"shallow": [], "tips": [["ref", 1]]}',
    ],
)
def test_what_one_of_us_sealed_and_is_no_parcel_opens_to_nothing(head: bytes) -> None:
    said = len(head).to_bytes(4, "big") + head + b"PACK"
    sealed = AESGCM(derive(KEY, "parcel", SOURCE)).encrypt(bytes(12), said, b"p")
    assert take(KEY, b"\0\1p" + bytes(12) + sealed)[1](SOURCE) is None


def test_nobody_reads_in_it_what_it_holds() -> None:
    assert b"PACK" not in SENT
    assert PARCEL.shallow[0].encode() not in SENT


def test_too_much_is_neither_sent_nor_taken() -> None:
    large = Parcel(SOURCE, (), bytes(MOST_BYTES + 1))
    assert not seal(KEY, "p", large)
    assert not seal(KEY, "p", Parcel(SOURCE, ("1" * 40,) * 2000, b""))
    assert not seal(KEY, "p" * 5000, PARCEL)
    for body in (bytes(MOST_BYTES + 80_000), SENT + bytes(MOST_BYTES + 80_000), b"", SENT[:20]):
        with pytest.raises(ParcelError):
            take(KEY, body)
    assert take(KEY, seal(KEY, "p", Parcel(SOURCE, (), bytes(MOST_BYTES))))[1](SOURCE) is not None
