"""Keys for what crosses Redis, made from the one in the database: each for one purpose, none leads to another. Pure.

HKDF (RFC 5869) with SHA-256. Whoever reaches Redis and not the database has none of them.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32

_NAME_BYTES: Final = 16
_WHAT_FOR: Final = b"kas3"


def derive(key: bytes, purpose: str, *parts: bytes, length: int = KEY_BYTES) -> bytes:
    """Return the key for a purpose, and for what ``parts`` say of it."""
    # Each with its length before it, so that no other parts make the same whole.
    said = [_WHAT_FOR, purpose.encode(), *parts]
    info = b"".join(len(part).to_bytes(4, "big") + part for part in said)
    return HKDF(SHA256(), length, salt=None, info=info).derive(key)


def name_of(key: bytes, purpose: str, *parts: bytes) -> str:
    """Return a name that only who has the key can make or understand: hexadecimal digits."""
    return derive(key, purpose, *parts, length=_NAME_BYTES).hex()
