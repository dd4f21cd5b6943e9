"""What of this agent's objects is seen less than it should be: kinds that may not be watched, are away, or are gone.

Kept for the observer, which notices it; nothing is claimed to be well that nobody can look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.rules.forbidden import not_served
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from agentk.apply.model import Kind, Refusal
    from agentk.apply.rules.forbidden import Place
    from agentlink.refs import ObjectRef

log = logs.get_logger("observer")


class Sight:
    """Remembers what cannot be seen; ``tell`` is called with each kind of which less, or more, is seen than before."""

    def __init__(self, tell: Callable[[Kind], None]) -> None:
        self._tell = tell
        self._unwatched: dict[tuple[str, str], str] = {}
        self._unseen: dict[Place, Refusal] = {}
        self._unserved: set[tuple[str, str]] = set()

    @property
    def unwatched(self) -> Mapping[tuple[str, str], str]:
        """Return the kinds, by (group, kind), that may be listed but not watched, and the server's reason.

        Their drift goes unseen.
        """
        return self._unwatched

    @property
    def unserved(self) -> AbstractSet[tuple[str, str]]:
        """Return the kinds, by (group, kind), that the cluster has ceased to serve."""
        return self._unserved

    @property
    def is_whole(self) -> bool:
        """Tell whether ``unseen`` is None for every object."""
        return not self._unseen

    @property
    def is_clear(self) -> bool:
        """Tell whether every change would be seen."""
        return not self._unseen and not self._unwatched

    def unseen(self, ref: ObjectRef) -> Refusal | None:
        """Return why an object that was seen once cannot be looked at any more; None where it can."""
        unseen = self._unseen
        return unseen.get((ref.group, ref.kind, "")) or unseen.get((ref.group, ref.kind, ref.namespace))

    def blind(self, kind: Kind, why: str) -> None:
        """Take note that a kind may not be watched."""
        key = (kind.group, kind.kind)
        if self._unwatched.get(key) != why:
            log.warning("A kind may not be watched", kind=kind.kind, why=why)
            self._unwatched[key] = why
            self._tell(kind)

    def lose(self, kind: Kind, namespace: str, why: Refusal) -> None:
        """Take note that a kind cannot be looked at, in a namespace or, where that is empty, anywhere."""
        if self._unseen.get((kind.group, kind.kind, namespace)) != why:
            log.warning("A kind cannot be looked at any more", group=kind.group, kind=kind.kind, why=why.message)
            self._hide(kind, namespace, why)

    def end(self, kind: Kind, namespace: str) -> None:
        """Take note that the cluster does not serve a kind any more, as a project may have wanted."""
        log.info("A kind is no longer served", group=kind.group, kind=kind.kind)
        self._unserved.add((kind.group, kind.kind))
        why = not_served(kind)
        if self._unseen.get((kind.group, kind.kind, namespace)) != why:
            self._hide(kind, namespace, why)

    def _hide(self, kind: Kind, namespace: str, why: Refusal) -> None:
        self._unseen[kind.group, kind.kind, namespace] = why
        self._tell(kind)

    def regain(self, kind: Kind, namespace: str, *, was_away: bool) -> None:
        """Take note that a kind can be looked at; ``was_away``: which may be news although it was not told as lost."""
        self._unserved.discard((kind.group, kind.kind))
        if self._unseen.pop((kind.group, kind.kind, namespace), None) is not None or was_away:
            self._tell(kind)
