"""The names of syncs: the same for the same thing, so that saying it again is not a second sync. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_BYTES: Final = 16
"""Never two alike among all syncs there will be, and short enough to be read out."""


def sync_id_of(agent_id: int, project_id: int, commit: str, digest: bytes) -> str:
    """Return the id (32 hexadecimal digits) of a revision on an agent; ``digest`` is its snapshot's."""
    return _digest("revision", agent_id, project_id, commit, digest.hex())


def failure_id_of(agent_id: int, project_id: int, ref: str, commit: str, reason: str) -> str:
    """Return the id (32 hexadecimal digits) of a failure of kas' own; ``commit`` is empty where none is known."""
    return _digest("failure", agent_id, project_id, ref, commit, reason)


def warning_id_of(agent_id: int, project_id: int, commit: str, key: str, line: int) -> str:
    """Return the id (32 hexadecimal digits) of the event that warns of one key of a configuration."""
    return _digest("warning", agent_id, project_id, commit, key, line)


def _digest(*parts: object) -> str:
    # Length first: no two lists of parts read the same.
    texts = [str(part).encode("utf-8", "surrogateescape") for part in parts]
    return blake2b(b"".join(b"%d:%b" % (len(text), text) for text in texts), digest_size=_BYTES).hexdigest()
