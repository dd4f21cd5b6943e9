"""What an inventory remembers of an object, sealed: readable and writable with agentk's key alone. Pure.

Whoever may edit ConfigMaps can write an inventory, and whoever may read them can read it. So what was applied is
encrypted and authenticated: nobody without the key makes a value that is believed, or guesses a Secret by its digest.

A synthetic initialization vector, as in SIV (RFC 5297), with keyed BLAKE2b as the pseudorandom function: the tag is of
what the value is bound to and of what it holds, and the key stream is made from the tag. There is no nonce that could
come twice, and equal values of one object are equal, so that writing what is there already changes nothing.

A value is bound to its inventory, to its key there and to the object's full name. It holds the UID, so that it says
nothing of an object that was made anew. What is open to everybody, such as whose an inventory is, is signed alone.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

KEY_BYTES: Final = 32
"""Of agentk's key, and of the two that are made of it for each inventory."""

PACKED: Final = 8 + 8 + 16
"""Bytes that a sealed value holds: digest, fingerprint and UID."""

_TAG: Final = 16

SEALED: Final = re.compile(r"[A-Za-z0-9+/]{64}")
"""How a sealed value is written: tag and contents, 48 bytes, as base64, which has no padding then."""

LENGTH: Final = 64
"""Characters of a sealed value."""


class Seal:
    """Seals and opens the values of one inventory."""

    __slots__ = ("_signing", "_stream", "_tag")

    def __init__(self, key: bytes, inventory_id: str) -> None:
        """Derive the inventory's keys.

        Args:
            key: agentk's, 32 random bytes.
            inventory_id: Which inventory.

        Raises:
            ValueError: The key has another length.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes, not {KEY_BYTES}")
        name = inventory_id.encode()
        tag = blake2b(name, key=key, person=b"agentk inv tag 1", digest_size=KEY_BYTES).digest()
        stream = blake2b(name, key=key, person=b"agentk inv enc 1", digest_size=KEY_BYTES).digest()
        self._signing = blake2b(name, key=key, person=b"agentk inv who 1", digest_size=KEY_BYTES).digest()
        # Copied for each value: the key is taken in once.
        self._tag = blake2b(key=tag, digest_size=_TAG)
        self._stream = blake2b(key=stream, digest_size=PACKED)

    def close(self, name: bytes, packed: bytes) -> str:
        """Return 32 bytes sealed for the entry of this name."""
        tag = self._tag_of(name, packed)
        return b2a_base64(tag + self._masked(tag, packed), newline=False).decode()

    def open(self, name: bytes, value: str) -> bytes | None:
        """Return what is sealed in a value of this entry; None where it was not sealed with this key for it."""
        if not SEALED.fullmatch(value):
            return None
        sealed = a2b_base64(value)
        tag = sealed[:_TAG]
        packed = self._masked(tag, sealed[_TAG:])
        return packed if compare_digest(tag, self._tag_of(name, packed)) else None

    def sign(self, said: bytes) -> str:
        """Return what proves that who has the key said this of the inventory."""
        return b2a_base64(blake2b(said, key=self._signing, digest_size=_TAG).digest(), newline=False).decode()

    def is_sign(self, said: bytes, written: str) -> bool:
        """Tell whether this was returned by ``sign``."""
        return compare_digest(self.sign(said).encode(), written.encode("utf-8", "surrogatepass"))

    def _tag_of(self, name: bytes, packed: bytes) -> bytes:
        hashed = self._tag.copy()
        # What is packed is always as long, so that no two pairs come to the same bytes.
        hashed.update(packed)
        hashed.update(name)
        return hashed.digest()

    def _masked(self, tag: bytes, packed: bytes) -> bytes:
        hashed = self._stream.copy()
        hashed.update(tag)
        return (int.from_bytes(packed) ^ int.from_bytes(hashed.digest())).to_bytes(PACKED)
