"""Durations and times as people write them on the command line. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(d|h|m|s)")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Duration(click.ParamType[float]):
    """Seconds from ``90s``, ``30m``, ``2h30m``, ``7d``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read one, as click asks for it."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value)
        parts = _PART.findall(text)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if not seconds or "".join(number + unit for number, unit in parts) != text:
            self.fail(f"{text!r} is not a duration such as 90s, 30m, 2h30m or 7d", param, ctx)
        return seconds


class Moment(click.ParamType[str]):
    """A time with its offset, ``2026-12-01T00:00Z``, written for the API."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read one, as click asks for it; whether it is to come, kas' clock says."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            self.fail(f"{value!r} is not a time with its offset, such as 2026-12-01T00:00Z", param, ctx)
        return at.astimezone(UTC).isoformat()
