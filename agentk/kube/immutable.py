"""Recognising that an object is refused because what changed cannot be changed in place, and for nothing else. Pure.

Kubernetes has no reason for it, only words, which each kind chooses. What is quoted of them here is known by heart, so
that nothing of an object's content is: this holds for Secrets too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS: Final = re.compile(
    r"field is immutable(?: when `immutable` is set)?"
    r"|may not change once set"
    r"|may not be changed in an update"
    r"|cannot change roleRef"
    r"|spec is immutable after creation"
    r"|pod updates may not change fields"
    r"|updates to [a-z]+ are forbidden"
    r"|(?P<most>updates to [a-z]+ spec) for fields other than(?P<those>(?: (?:and )?'[A-Za-z.]{1,64}',?){0,20})"
    r"|(?:is|are) immutable"
)


def immutable_fields(causes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what cannot be changed, as ``spec.selector: field is immutable``.

    Args:
        causes: Field and message of each cause of an error.

    Returns:
        Nothing when anything else is wrong too: made anew, such an object would be refused as well.
    """
    found = []
    for field, message in causes:
        words = _WORDS.search(message)
        if words is None:
            return ()
        others = f" for fields other than{words['those']} are forbidden" if words["those"] else " are forbidden"
        found.append(f"{field}: {words['most']}{others}" if words["most"] else f"{field}: {words[0]}")
    return tuple(dict.fromkeys(found))
