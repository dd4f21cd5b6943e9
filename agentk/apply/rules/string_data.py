"""A Secret's ``stringData``, folded into ``data`` as the API server folds it when it is written.

The server never shows ``stringData`` again, and what was applied there owns no field of ``data``: a key that left Git
stayed, and one that was changed by hand was never put back.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from agentk.apply.names import APPLY_TIME_MUTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

_STRINGS: Final = "stringData"
_FIELD: Final = f"/{_STRINGS}"


def fold(manifest: dict[str, Any]) -> None:
    """Move what is in ``stringData`` into ``data``, where it wins; what is not as it should be stays, to be refused."""
    if _STRINGS not in manifest or (manifest.get("apiVersion"), manifest.get("kind")) != ("v1", "Secret"):
        return
    strings, data = manifest[_STRINGS] or {}, manifest.get("data") or {}
    if not isinstance(strings, dict) or not isinstance(data, dict):
        return
    if not all(isinstance(text, str) for text in strings.values()):
        return
    del manifest[_STRINGS]
    if strings:
        manifest["data"] = {**data, **{key: b64encode(text.encode()).decode() for key, text in strings.items()}}


def is_filled_later(annotations: Mapping[str, object]) -> bool:
    """Tell whether apply-time mutation may fill ``stringData``, which is folded after that."""
    return _STRINGS in str(annotations.get(APPLY_TIME_MUTATION, ""))


def folded_pointer(pointer: str) -> str:
    """Return the field that a pointer into a Secret means once it is folded."""
    is_inside = pointer == _FIELD or pointer.startswith(f"{_FIELD}/")
    return f"/data{pointer.removeprefix(_FIELD)}" if is_inside else pointer
