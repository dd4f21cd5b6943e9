"""UIDs as 16 bytes instead of 36 characters: tens of thousands are kept."""

from __future__ import annotations

import re
from typing import Final

_UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def packed(uid: str) -> bytes | None:
    """Return the 16 bytes; None of what is not written as API servers write UIDs, and would not come back the same."""
    return bytes.fromhex(uid.replace("-", "")) if _UID.fullmatch(uid) else None


def unpacked(uid: bytes) -> str:
    """Return the UID that these bytes are of."""
    digits = uid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
