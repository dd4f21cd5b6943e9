"""Which wave an object belongs to: by ``agentk.io/wave``, or else by Argo CD's annotation of the same meaning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentk.apply.names import ARGO_CD_WAVE, WAVE
from agentk.apply.rules.depend import InvalidOrderError

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


def read_wave(annotations: Mapping[str, str]) -> int:
    """Return the wave, 0 where none is named.

    Argo CD takes a value that is no number for 0, and so is it here; our own annotation must be right.

    Raises:
        InvalidOrderError: ``agentk.io/wave`` is no integer.
    """
    own = annotations.get(WAVE)
    if own is None:
        theirs = str(annotations.get(ARGO_CD_WAVE, ""))
        return int(theirs) if _INTEGER.fullmatch(theirs) else 0
    if not isinstance(own, str) or not _INTEGER.fullmatch(own):
        raise InvalidOrderError("InvalidWave", f"annotation {WAVE}: {str(own)[:100]!r} is no integer such as '1'")
    return int(own)
