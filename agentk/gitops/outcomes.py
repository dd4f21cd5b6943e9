"""What became of the objects of one sync. Of those that went well without a word, little is kept. Pure.

Tens of thousands are kept until their sync has ended, beside what stays for good: memory that is free afterwards, and
that the process keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agentlink.refs import ObjectRef

_RESULTS: Final = tuple(Result)
_NUMBERS: Final = {result: number for number, result in enumerate(_RESULTS)}

_QUIET: Final = frozenset({Result.CREATED, Result.CONFIGURED, Result.UNCHANGED})
"""Results that say all there is to say, where neither reason nor message says more."""


class Outcomes(Collection[Outcome]):
    """Outcomes as people are told them (``Outcome.told``), in the order in which they came."""

    __slots__ = ("_paths", "_refs", "_results", "_said")

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        """Begin with these."""
        self._refs: list[ObjectRef] = []
        self._paths: list[str] = []
        self._results = bytearray()
        self._said: dict[int, Outcome] = {}
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Take in one more."""
        if outcome.reason or outcome.message or outcome.result not in _QUIET:
            self._said[len(self._refs)] = outcome.told
        self._refs.append(outcome.ref)
        self._paths.append(outcome.path)
        self._results.append(_NUMBERS[outcome.result])

    @property
    def said(self) -> Collection[Outcome]:
        """Return those of which there is something to say: all but objects that are there, without a reason."""
        return self._said.values()

    @property
    def results(self) -> Mapping[Result, int]:
        """Return how many there are of each result; without those of which there are none."""
        return {_RESULTS[number]: many for number, many in Counter(self._results).items()}

    def __iter__(self) -> Iterator[Outcome]:
        """Yield all."""
        said = self._said
        for number, (ref, path, result) in enumerate(zip(self._refs, self._paths, self._results, strict=True)):
            yield said.get(number) or Outcome(ref, _RESULTS[result], path)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._refs)

    def __contains__(self, outcome: object) -> bool:
        """Tell whether this is one of them."""
        return any(outcome == one for one in self)
