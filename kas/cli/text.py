"""Plain text for terminals: what others wrote made inert, its width in cells, ages as kubectl writes them.

Names and messages come from Git, clusters and agents. None of them may move the cursor, colour the screen, reverse the
reading order or break a table's lines, so every text passes ``inert`` on its way out.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from rich.cells import cell_len, set_cell_size

from kas.characters import written_out

_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_ACTIVE_IN_JSON = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ELLIPSIS = "…"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY


def inert(text: str) -> str:
    """Return ``text`` on one line, with control and direction characters written out as Python writes them."""
    line = _SPACES.sub(" ", text).strip(" ")
    return line if line.isascii() and line.isprintable() else "".join(map(written_out, line))


def inert_line(text: str) -> str:
    """Return a line like ``inert``, with its spaces as they are: where indentation means something."""
    return text if text.isascii() and text.isprintable() else "".join(map(written_out, text.replace("\t", "    ")))


def width(text: str) -> int:
    """Return how many terminal cells an inert text takes: 2 for wide characters, 0 for combining ones."""
    return cell_len(text)


def pad(text: str, cells: int) -> str:
    """Fill an inert text up to a width in cells; a longer one stays as it is."""
    return text + " " * max(0, cells - width(text))


def cut(text: str, cells: int) -> str:
    """Shorten an inert text to a width in cells, ending it with ``…`` where something was left off."""
    return text if width(text) <= cells else set_cell_size(text, max(0, cells - 1)).rstrip() + _ELLIPSIS


def json_text(value: object, *, indent: int | None = 2) -> str:
    """Write JSON that is readable (not only ASCII) and yet inert on a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ACTIVE_IN_JSON.sub(_json_escape, text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def yaml_text(value: object) -> str:
    """Write YAML; text that could act on a terminal is escaped, and then all that is not ASCII with it."""
    import yaml  # noqa: PLC0415 -- only `-o yaml` pays for loading it

    readable: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if not _ACTIVE_IN_JSON.search(readable):
        return readable
    escaped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=False)
    return escaped


def parse_time(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text).astimezone(UTC)


def age(since: str | None, now: datetime) -> str:
    """Return the time between ``since`` and ``now`` as kubectl writes it; ``-`` for None, ``0s`` for the future."""
    return "-" if since is None else span(now - parse_time(since))


def span(duration: timedelta) -> str:
    """Write a duration with one or two units, coarser as it grows: ``90s``, ``3m20s``, ``5h``, ``2d3h``, ``400d``."""
    seconds = max(0, int(duration.total_seconds()))
    for limit, big, small in (
        (2 * _MINUTE, 1, 0),
        (10 * _MINUTE, _MINUTE, 1),
        (3 * _HOUR, _MINUTE, 0),
        (8 * _HOUR, _HOUR, _MINUTE),
        (2 * _DAY, _HOUR, 0),
        (8 * _DAY, _DAY, _HOUR),
        (2 * _YEAR, _DAY, 0),
    ):
        if seconds < limit:
            return _two_units(seconds, big, small)
    return _two_units(seconds, _YEAR, _DAY if seconds < 8 * _YEAR else 0)


_UNITS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}


def _two_units(seconds: int, big: int, small: int) -> str:
    whole, rest = divmod(seconds, big)
    part = rest // small if small else 0
    return f"{whole}{_UNITS[big]}" + (f"{part}{_UNITS[small]}" if part else "")
