"""The names of syncs: the same for the same thing, so that saying it again is not a second sync. Pure.

The name of a revision on an agent is also the proof that kas has sent it there: nobody can make one without the key
that all kas on one database share. So what an agent reports needs no memory of what it was sent, and the proof holds
over a restart of kas, at another replica, after a restored backup, and for a report that comes days late.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

_BYTES: Final = 16
"""Never two alike among all syncs there will be, and short enough to be read out."""

_PART: Final = 16
"""Hexadecimal digits of each part of a revision's name: 64 bits, which nobody guesses by asking."""

SYNCS_KEY: Final = "syncs"
"""The name of the key in the store, see ``kas.store.keys``."""


@dataclass(frozen=True, slots=True)
class SyncIds:
    """Names revisions on agents, and knows the names that were given. ``key`` has at most 64 bytes."""

    key: bytes = field(repr=False)

    def of(self, agent_id: int, project_id: int, path: str, commit: str, digest: bytes) -> str:
        """Return the name (48 hexadecimal digits) of a revision on an agent; ``digest`` is its snapshot's.

        Its parts are what tells it from others, the proof that the agent was sent the project, and that it was sent
        the commit. The path is in them, so that a number that a lost database gave to another project proves nothing.
        """
        name = self._part("revision", agent_id, project_id, path, commit, digest.hex())
        return f"{name}{self._of_project(name, agent_id, project_id, path)}{self._of_commit(name, commit)}"

    def is_of(self, sync_id: str, agent_id: int, project_id: int, path: str) -> bool:
        """Tell whether kas has given this name to a revision of that project on that agent."""
        name, project, _ = _parts(sync_id)
        return hmac.compare_digest(project, self._of_project(name, agent_id, project_id, path))

    def is_of_commit(self, sync_id: str, commit: str) -> bool:
        """Tell whether a name that ``is_of`` a project is of this commit of it."""
        name, _, proof = _parts(sync_id)
        return hmac.compare_digest(proof, self._of_commit(name, commit))

    def _of_project(self, name: str, agent_id: int, project_id: int, path: str) -> str:
        return self._part("sent", name, agent_id, project_id, path)

    def _of_commit(self, name: str, commit: str) -> str:
        return self._part("commit", name, commit)

    def _part(self, *parts: object) -> str:
        return _digest(*parts, key=self.key, size=_PART // 2)


def _parts(sync_id: str) -> tuple[str, str, str]:
    # What is no text of ASCII is no name of ours, and nothing that can be compared.
    text = sync_id if sync_id.isascii() and len(sync_id) == 3 * _PART else ""
    return text[:_PART], text[_PART : 2 * _PART], text[2 * _PART :]


def failure_id_of(agent_id: int, project_id: int, ref: str, commit: str, reason: str) -> str:
    """Return the id (32 hexadecimal digits) of a failure of kas' own; ``commit`` is empty where none is known."""
    return _digest("failure", agent_id, project_id, ref, commit, reason)


def warning_id_of(agent_id: int, project_id: int, commit: str, key: str, line: int) -> str:
    """Return the id (32 hexadecimal digits) of the event that warns of one key of a configuration."""
    return _digest("warning", agent_id, project_id, commit, key, line)


def _digest(*parts: object, key: bytes = b"", size: int = _BYTES) -> str:
    # Length first: no two lists of parts read the same.
    texts = [str(part).encode("utf-8", "surrogateescape") for part in parts]
    return blake2b(b"".join(b"%d:%b" % (len(text), text) for text in texts), digest_size=size, key=key).hexdigest()
