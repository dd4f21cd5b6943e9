"""The number of a project that nobody has given one: made of its path, so that it is the same after a database is lost.

It names inventories in clusters. A number that was counted would be another project's in another order.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

FIRST_ID: Final = 10**12
"""GitLab counts from 1, and agents' ids (``agents``) end here."""

LAST_ID: Final = 2**53
"""From here on JavaScript, and whatever else reads JSON numbers as it does, rounds."""


def derived_id(path: str, attempt: int = 0) -> int:
    """Return the id of a project.

    Args:
        path: the project's, as it is written.
        attempt: how many ids of the path are other projects' already.
    """
    digest = blake2b(path.encode("utf-8", "surrogateescape"), digest_size=16, salt=attempt.to_bytes(4)).digest()
    return FIRST_ID + int.from_bytes(digest) % (LAST_ID - FIRST_ID)
