"""What a commit says of itself, for people. Pure: the bytes of a commit object in, a value out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_AUTHOR: Final = re.compile(rb"author ([^<\n]*)<[^>\n]*> (-?\d{1,12})(?: [+-]\d{4})?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 255
_MOST_BYTES: Final = 64 * 1024
"""Of a commit are looked at: what comes later is neither its author nor how its message begins."""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """Who wrote a commit, when, and the first line of what they said; each empty where it says nothing readable."""

    author: str
    subject: str
    at: datetime | None


def parse_commit(content: bytes) -> CommitInfo:
    """Read a commit object. Texts are as they are there, cut to 255 characters; they may hold anything."""
    head, _, message = content[:_MOST_BYTES].partition(b"\n\n")
    line = next((line for line in head.split(b"\n") if line.startswith(b"author ")), b"")
    found = _AUTHOR.fullmatch(line)
    subject = message.lstrip().split(b"\n", 1)[0]
    at = None
    if found is not None:
        try:
            at = _EPOCH + timedelta(seconds=int(found[2]))
        except OverflowError:
            at = None
    return CommitInfo(_text(found[1]) if found else "", _text(subject), at)


def _text(data: bytes) -> str:
    return data.decode(errors="replace").strip()[:_LONGEST]
