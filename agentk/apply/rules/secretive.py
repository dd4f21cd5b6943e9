"""Which objects hold what a Secret holds, so that no text about them is passed on, and no rehearsal looks at them.

A Secret does; so does what was filled from one, for as long as it exists: what Git says of it now does not tell what is
still in it. Where no Secret's annotation says it, our own does (``names.FROM_SECRETS``), which is set with the value
and never taken off.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agentk.apply.names import APPLY_TIME_MUTATION, FROM_SECRETS
from agentk.apply.rules.depend import InvalidOrderError
from agentk.apply.rules.mutate import read_mutations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.model import Mutation, Ordering
    from agentlink.refs import ObjectRef


def is_secret(ref: ObjectRef) -> bool:
    """Tell whether an object is a Secret."""
    return ref.kind == "Secret" and not ref.group


def takes_secrets(ordering: Ordering | None) -> bool:
    """Tell whether an object is to be filled from a Secret."""
    return ordering is not None and _from_secrets(ordering.mutations)


def holds_secrets(annotations: Mapping[str, object], ref: ObjectRef) -> bool:
    """Tell by a live object's annotations whether it was filled from a Secret; what cannot be read may say so.

    A Secret itself is not asked for here.
    """
    if FROM_SECRETS in annotations:
        return True
    text = annotations.get(APPLY_TIME_MUTATION)
    if text is None:
        return False
    return not isinstance(text, str) or _says_so(text, ref)


@lru_cache(maxsize=1024)
def _says_so(text: str, ref: ObjectRef) -> bool:
    try:
        return _from_secrets(read_mutations(text, ref))
    except InvalidOrderError:
        return True


def _from_secrets(mutations: Iterable[Mutation]) -> bool:
    return any(is_secret(one.source) for one in mutations)
