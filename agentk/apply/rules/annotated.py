"""All that an object's annotations say about when it is applied and deleted, in one value."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from agentk.apply.model import Ordering
from agentk.apply.names import APPLY_TIME_MUTATION, ARGO_CD_WAVE, DEPENDS_ON, WAVE
from agentk.apply.rules.depend import InvalidOrderError, read_depends_on
from agentk.apply.rules.mutate import read_mutations
from agentk.apply.rules.wave import read_wave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.kinds import Kinds
    from agentlink.refs import ObjectRef

_KEYS: Final = frozenset({DEPENDS_ON, APPLY_TIME_MUTATION, WAVE, ARGO_CD_WAVE})


def read_ordering(annotations: Mapping[str, str], own: ObjectRef, kinds: Kinds | None = None) -> Ordering | None:
    """Return what a manifest says, None where it says nothing. ``kinds`` as for ``read_mutations``.

    Raises:
        InvalidOrderError: An annotation cannot be read.
    """
    if _KEYS.isdisjoint(annotations):
        return None
    for key in (DEPENDS_ON, APPLY_TIME_MUTATION):
        if not isinstance(annotations.get(key, ""), str):
            raise InvalidOrderError("InvalidManifest", f"annotation {key} must be a text")
    wave = read_wave(annotations)
    depends_on = annotations.get(DEPENDS_ON)
    named = () if depends_on is None else read_depends_on(depends_on, own)
    mutation = annotations.get(APPLY_TIME_MUTATION)
    mutations = () if mutation is None else read_mutations(mutation, own, kinds)
    if not (wave or named or mutations):
        return None
    return Ordering(tuple(dict.fromkeys((*named, *(one.source for one in mutations)))), wave, mutations)


def ordering_of_live(annotations: Mapping[str, object], own: ObjectRef) -> Ordering | None:
    """Return what a live object says; what cannot be read there is not said."""
    if _KEYS.isdisjoint(annotations):
        return None
    said = tuple((key, value) for key in sorted(_KEYS) if isinstance(value := annotations.get(key), str))
    return _remembered(said, own)


@lru_cache(maxsize=4096)
def _remembered(said: tuple[tuple[str, str], ...], own: ObjectRef) -> Ordering | None:
    """Read once what every event of a watch repeats."""
    try:
        ordering = read_ordering(dict(said), own)
    except InvalidOrderError:
        return None
    return ordering and Ordering(ordering.depends_on, ordering.wave)
