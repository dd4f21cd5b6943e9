"""A parcel opens for who would have got it from the same place in the same way, and only as it was sent."""

from __future__ import annotations

import contextlib

import pytest

from kas.git.parcels import MOST_BYTES, Parcel, source_of
from kas.git.remotes import Credential, Remote
from kas.replicas.parcels import ParcelError, seal, take

KEY = b"k" * 32
URL = "https://git.example.com/group/project.git"
SOURCE = source_of(Remote(URL, Credential("kas", "secret"), None))
PARCEL = Parcel(SOURCE, ("1" * 40,), b"PACK, and so on")
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
        b"{}",
        b"[]",
        b"1",
        b"{",
        b'{"project": 1, "shallow": []}',
        b'{"project": "p", "shallow": 1}',
        b'{"project": "p", "shallow": ["x"]}',
        b'{"project": "p", "shallow": [[]]}',
    ],
)
def test_what_is_no_parcel_is_said_to_be_none(head: bytes) -> None:
    with pytest.raises(ParcelError):
        take(KEY, bytes(32) + len(head).to_bytes(4, "big") + head + b"PACK")


def test_too_much_is_neither_sent_nor_taken() -> None:
    large = Parcel(SOURCE, (), bytes(MOST_BYTES + 1))
    assert not seal(KEY, "p", large)
    assert not seal(KEY, "p", Parcel(SOURCE, ("1" * 40,) * 2000, b""))
    for body in (bytes(MOST_BYTES + 66_000), SENT[:36] + SENT[36:] + bytes(MOST_BYTES)):
        with pytest.raises(ParcelError):
            take(KEY, body)
    assert take(KEY, seal(KEY, "p", Parcel(SOURCE, (), bytes(MOST_BYTES))))[1](SOURCE) is not None
