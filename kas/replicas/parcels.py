"""How parcels travel between replicas: sealed for who would have got them from the same place, in the same way. Pure.

The key for a parcel is made from the one of all replicas and from where it comes from, which is not sent. So it opens
only for who asks at the same URL with the same credential, and nobody else, a replica or not, can read it.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kas.git.parcels import MOST_BYTES, Parcel
from kas.git.refs import is_commit_id
from kas.replicas.derived import derive

if TYPE_CHECKING:
    from kas.git.parcels import Sealed

_NAME: Final = struct.Struct("!H")
_HEAD: Final = struct.Struct("!I")
_MOST_NAME_BYTES: Final = 4096
_MOST_HEAD_BYTES: Final = 64 * 1024
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_LEAST: Final = _NAME.size + _NONCE_BYTES + _HEAD.size + _TAG_BYTES
_MOST: Final = _LEAST + _MOST_NAME_BYTES + _MOST_HEAD_BYTES + MOST_BYTES


class ParcelError(ValueError):
    """What came is no parcel."""


def seal(key: bytes, project: str, parcel: Parcel) -> bytes:
    """Return what is sent of a parcel; empty where that would be too much."""
    name = project.encode()
    head = orjson.dumps({"shallow": parcel.shallow, "tips": parcel.tips})
    if len(name) > _MOST_NAME_BYTES or len(head) > _MOST_HEAD_BYTES or len(parcel.pack) > MOST_BYTES:
        return b""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(key, parcel.source).encrypt(nonce, _HEAD.pack(len(head)) + head + parcel.pack, name)
    return _NAME.pack(len(name)) + name + nonce + sealed


def take(key: bytes, sent: bytes) -> tuple[str, Sealed]:
    """Return whose project it says it is, and the parcel.

    Raises:
        ParcelError: it is none.
    """
    if not _LEAST <= len(sent) <= _MOST:
        raise ParcelError("it is too short or too long")
    (length,) = _NAME.unpack_from(sent)
    name = sent[_NAME.size : _NAME.size + length]
    start = _NAME.size + length + _NONCE_BYTES
    try:
        project = name.decode()
    except UnicodeDecodeError as error:
        raise ParcelError("its project cannot be read") from error

    def unseal(source: bytes) -> Parcel | None:
        try:
            said = _cipher(key, source).decrypt(sent[start - _NONCE_BYTES : start], sent[start:], name)
            return _parcel(source, said)
        except (InvalidTag, ValueError):
            return None

    return project, unseal


def _cipher(key: bytes, source: bytes) -> AESGCM:
    return AESGCM(derive(key, "parcel", source))


def _parcel(source: bytes, said: bytes) -> Parcel:
    """Read what one of us has sealed.

    Raises:
        ParcelError: it is something else.
    """
    try:
        (length,) = _HEAD.unpack_from(said)
        head = orjson.loads(said[_HEAD.size : _HEAD.size + length])
        shallow = tuple(head["shallow"])
        tips = tuple((ref, commit) for ref, commit in head["tips"])
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ParcelError("its head cannot be read") from error
    commits = [*shallow, *(commit for _, commit in tips)]
    if not all(isinstance(one, str) and is_commit_id(one) for one in commits):
        raise ParcelError("its head holds something else")
    return Parcel(source, shallow, said[_HEAD.size + length :], tips)
