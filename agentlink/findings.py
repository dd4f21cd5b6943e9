"""What ``agentk check`` and ``kas check`` find, and how it is written: lines for people, JSON for programs. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agentlink.logs import inert

if TYPE_CHECKING:
    from collections.abc import Sequence


class Level(StrEnum):
    """How bad it is. Only ``FAILED`` makes a check fail."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``area`` and ``check`` say what, such as ``kas`` and ``token``; ``message`` what was found, and ``remedy`` what to
    do about it, empty where there is nothing to do or the message says it. None of them holds a secret.
    """

    area: str
    check: str
    level: Level
    message: str
    remedy: str = ""


def ok(area: str, check: str, message: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(area, check, Level.OK, message)


def warning(area: str, check: str, message: str, remedy: str = "") -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(area, check, Level.WARNING, message, remedy)


def failed(area: str, check: str, message: str, remedy: str = "") -> Finding:
    """Return a finding without whose remedy the program cannot do its work."""
    return Finding(area, check, Level.FAILED, message, remedy)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if something failed, 0 otherwise."""
    return int(any(finding.level is Level.FAILED for finding in findings))


def as_text(findings: Sequence[Finding]) -> str:
    """Write findings by area, in the order in which areas are first met, and a last line that counts them.

    Control characters are written out.
    """
    checks = max((len(finding.check) for finding in findings), default=0)
    lines: list[str] = []
    for area in dict.fromkeys(finding.area for finding in findings):
        lines.append(inert(area))
        for finding in (one for one in findings if one.area == area):
            message = inert(" ".join(finding.message.split()))
            lines.append(f"  {finding.level:<7}  {finding.check:<{checks}}  {message}")
            if finding.remedy:
                lines.append(f"  {'':7}  {'':{checks}}  -> {inert(' '.join(finding.remedy.split()))}")
    counts = Counter(finding.level for finding in findings)
    lines.append(f"{counts[Level.OK]} OK, {counts[Level.WARNING]} WARNING, {counts[Level.FAILED]} FAILED")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Write ``{"ok": …, "findings": [{"area", "check", "level", "message", "remedy"}, …]}``, ASCII only."""
    listed = [
        {
            "area": finding.area,
            "check": finding.check,
            "level": finding.level.value,
            "message": finding.message,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]
    return json.dumps({"ok": exit_code(findings) == 0, "findings": listed}, indent=2)
