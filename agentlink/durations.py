"""Durations as Go writes them: ``3600s``, ``1h30m``, ``1.5h``, ``0``."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PARTS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"\+?(?:0|(?:{_PARTS.pattern})+)")

_LONGEST = 200
"""Characters: what is matched part by part takes memory for each."""


def parse_duration(text: str) -> float:
    """Return seconds.

    Raises:
        ValueError: for anything else than a duration that is not negative.
    """
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        raise ValueError("expected a duration such as 3600s or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
