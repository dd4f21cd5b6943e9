"""How the watchers of several kas share projects: one looks, the others are told. See ``kas/replicas/refs.py``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from kas.git.errors import GitError
    from kas.git.parcels import Parcel, Sealed
    from kas.git.refs import GitRef

TELLING_SECONDS = 2.0
"""How long the one who looks may take to tell of a ref; then others look, too."""

BELIEVED_INTERVALS = 10
"""For so many of its own intervals a kas believes what it is told, or that there is nothing to tell, and then looks for
itself: whoever keeps others' word from it, or makes it believe that another looks, wins no more than that.
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What the one who looks has found, as in ``kas.git.watcher.RefState``.

    One that is not ``sure`` contradicts what was told after it, by the clocks of those who told: the server decides.
    """

    commit: str | None
    error: GitError | None
    at: datetime
    sure: bool = True


class Wake(Protocol):
    """Wakes who watches a project."""

    def __call__(self, *, look: bool) -> None:
        """Say that something was told, or with ``look`` that it is time to look."""


class Part(Protocol):
    """This kas' part in one project."""

    @property
    def looks(self) -> bool:
        """Whether it is this one that looks at the server."""

    def told(self, ref: GitRef) -> Told | None:
        """Return what was last told of a ref by the one who looks; None and ask as long as nothing was."""

    def tell(self, ref: GitRef, told: Told) -> None:
        """Tell the others what was found; the same again is not repeated."""

    @property
    def shares(self) -> bool:
        """Whether there may be others to hand parcels on to."""

    def hand_on(self, parcel: Parcel) -> None:
        """Let the others have what came from the server, before they are told what was found."""

    def handed_on(self) -> Sequence[Sealed]:
        """Return what the others have handed on, in the order in which they got it; each is returned once."""


class Sharing(Protocol):
    """What the watchers of several kas have in common."""

    def part(self, project: str, wake: Wake) -> AbstractContextManager[Part]:
        """Take part in a project as long as the block runs; ``wake`` is called when something is different."""

    def poke(self, project: str) -> None:
        """Have whoever looks at a project look now."""


class Alone:
    """The ``Sharing`` of a kas that is alone, and its ``Part`` in every project: it looks."""

    looks = True
    shares = False

    @contextmanager
    def part(self, project: str, wake: Wake) -> Iterator[Part]:
        """See ``Sharing``."""
        del project, wake
        yield self

    def poke(self, project: str) -> None:
        """See ``Sharing``."""

    def told(self, ref: GitRef) -> Told | None:
        """See ``Part``."""

    def tell(self, ref: GitRef, told: Told) -> None:
        """See ``Part``."""

    def hand_on(self, parcel: Parcel) -> None:
        """See ``Part``."""

    def handed_on(self) -> Sequence[Sealed]:
        """See ``Part``."""
        return ()
