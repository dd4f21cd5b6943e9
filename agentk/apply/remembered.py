"""What an inventory remembers of what selected its objects, so that a new process knows what has changed. Pure.

It is signed: who may edit ConfigMaps could otherwise have it say that nothing has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from agentk.apply.names import SELECTED_BY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.seal import Seal


def annotation_of(selection: Mapping[str, str] | None, seal: Seal | None) -> dict[str, str | None]:
    """Return the annotation by which ``selection_in`` reads a selection; nothing where there is none to remember."""
    if selection is None or seal is None:
        return {}
    said = orjson.dumps(dict(selection), option=orjson.OPT_SORT_KEYS)
    return {SELECTED_BY: f"{seal.sign(said)} {said.decode()}"}


def selection_in(annotations: Mapping[str, str], seal: Seal | None) -> Mapping[str, str] | None:
    """Return the selection that annotations tell, None where they tell none that was written with the key."""
    sign, _, said = annotations.get(SELECTED_BY, "").partition(" ")
    if seal is None or not said or not seal.is_sign(said.encode("utf-8", "surrogateescape"), sign):
        return None
    found = orjson.loads(said)
    return {str(key): str(value) for key, value in found.items()}
