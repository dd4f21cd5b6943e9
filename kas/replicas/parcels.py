"""How parcels travel between replicas: sealed with a key that whoever reads or writes Redis does not have. Pure: bytes.

The seal is over where a parcel comes from, too, which is not sent: it opens only for who asks at the same URL with the
same credential, and for nobody else's word.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TYPE_CHECKING, Final

import orjson

from kas.git.parcels import MOST_BYTES, Parcel
from kas.git.refs import is_commit_id

if TYPE_CHECKING:
    from kas.git.parcels import Sealed

_SEAL: Final = hashlib.sha256
_SEAL_BYTES: Final = 32
_HEAD: Final = struct.Struct("!I")
_MOST_HEAD_BYTES: Final = 64 * 1024
_WHAT_FOR: Final = b"kas parcel 1\0"


class ParcelError(ValueError):
    """What came is no parcel."""


def seal(key: bytes, project: str, parcel: Parcel) -> bytes:
    """Return what is sent of a parcel; empty where that would be too much."""
    head = orjson.dumps({"project": project, "shallow": parcel.shallow})
    if len(head) > _MOST_HEAD_BYTES or len(parcel.pack) > MOST_BYTES:
        return b""
    said = _HEAD.pack(len(head)) + head + parcel.pack
    return _sealed(key, parcel.source, said) + said


def take(key: bytes, sent: bytes) -> tuple[str, Sealed]:
    """Return whose project it says it is, and the parcel.

    Raises:
        ParcelError: it is none.
    """
    project, shallow, end = _head(sent)

    def unseal(source: bytes) -> Parcel | None:
        if not hmac.compare_digest(_sealed(key, source, sent[_SEAL_BYTES:]), sent[:_SEAL_BYTES]):
            return None
        return Parcel(source, shallow, sent[end:])

    return project, unseal


def _sealed(key: bytes, source: bytes, said: bytes) -> bytes:
    # ``source`` is of fixed length, so that no other parts make the same whole.
    return hmac.new(key, _WHAT_FOR + source + said, _SEAL).digest()


def _head(sent: bytes) -> tuple[str, tuple[str, ...], int]:
    """Return the project, the commits whose parents stay away, and where the pack begins."""
    start = _SEAL_BYTES + _HEAD.size
    if not start < len(sent) <= start + _MOST_HEAD_BYTES + MOST_BYTES:
        raise ParcelError("it is too short or too long")
    (length,) = _HEAD.unpack_from(sent, _SEAL_BYTES)
    end = start + length
    if length > _MOST_HEAD_BYTES or len(sent) - end > MOST_BYTES:
        raise ParcelError("its parts are too long")
    try:
        head = orjson.loads(sent[start:end])
        project, shallow = head["project"], tuple(head["shallow"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ParcelError("its head cannot be read") from error
    if not isinstance(project, str) or not all(isinstance(one, str) and is_commit_id(one) for one in shallow):
        raise ParcelError("its head holds something else")
    return project, shallow, end
