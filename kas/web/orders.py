"""The bodies of orders, read and checked. Pure, as ``kas.web.queries``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from kas.web.errors import bad_request
from kas.web.queries import read_object, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH_LENGTH: Final = 1024
_REASON_LENGTH: Final = 1024
_REF_LENGTH: Final = 255
_LONGEST: Final = timedelta(days=3653)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")
_COMMIT: Final = re.compile(r"[0-9a-f]{4,40}")
_PROJECTS: Final = 500

DIFF_SECONDS: Final = 300.0
"""How long an agent may take for the diff of one project, unless said otherwise."""

_LONGEST_DIFF: Final = 3600


@dataclass(frozen=True, slots=True)
class SuspendOrder:
    """What is to be suspended (None: all of the agent) and until when (None: until somebody resumes it)."""

    project: str | None
    until: datetime | None
    reason: str


def read_suspend(body: bytes, now: datetime) -> SuspendOrder:
    """Read ``{"project": …, "until": …, "seconds": …, "reason": …}``, all optional, one of ``until`` and ``seconds``.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"project", "until", "seconds", "reason"}))
    until, seconds = value.get("until"), value.get("seconds")
    if until is not None and seconds is not None:
        raise bad_request("until and seconds in the body exclude each other")
    return SuspendOrder(
        project=_project(value),
        until=_time(until, now) if until is not None else _after(seconds, now) if seconds is not None else None,
        reason=read_text(value.get("reason", ""), "reason", _REASON_LENGTH),
    )


def _time(value: object, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not now < at < now + _LONGEST:
        raise bad_request(
            "until in the body must be a time to come, with its offset, within ten years",
            f"such as 2030-01-31T12:00Z; kas' clock says {now.astimezone(UTC).isoformat(timespec='seconds')}",
        )
    return at.astimezone(UTC)


def _after(value: object, now: datetime) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST.total_seconds():
        raise bad_request("seconds in the body must be a number above 0, of at most ten years")
    return now + timedelta(seconds=value)


@dataclass(frozen=True, slots=True)
class ProjectOrder:
    """A project that something is ordered for; None for all of the agent, where that is possible."""

    project: str | None


def read_resume(body: bytes) -> ProjectOrder:
    """Read ``{"project": …}``, optional.

    Raises:
        ApiError: it is not such a body.
    """
    return ProjectOrder(_project(read_object(body, frozenset({"project"}))))


def read_unpin(body: bytes) -> str:
    """Read ``{"project": …}`` and return the project.

    Raises:
        ApiError: it is not such a body.
    """
    return _needed(read_object(body, frozenset({"project"})))


@dataclass(frozen=True, slots=True)
class PinOrder:
    """Where a project is to go back to: a commit, or how it begins."""

    project: str
    commit: str
    reason: str


def read_pin(body: bytes) -> PinOrder:
    """Read ``{"project": …, "to": …, "reason": …}``, the reason optional.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"project", "to", "reason"}))
    commit = value.get("to")
    if not isinstance(commit, str) or _COMMIT.fullmatch(commit.lower()) is None:
        raise bad_request("to in the body must be a commit: 4 to 40 hexadecimal digits", "`kas history` lists them")
    reason = read_text(value.get("reason", ""), "reason", _REASON_LENGTH)
    return PinOrder(_needed(value), commit.lower(), reason)


def read_reconcile(body: bytes) -> tuple[str, ...]:
    """Read ``{"projects": […]}``; empty for all.

    Raises:
        ApiError: it is not such a body.
    """
    given = read_object(body, frozenset({"projects"})).get("projects", [])
    if not isinstance(given, list) or len(given) > _PROJECTS:
        raise bad_request(f"projects in the body must be a list of at most {_PROJECTS} paths")
    return tuple(dict.fromkeys(read_text(path, "projects", _PATH_LENGTH) for path in given))


@dataclass(frozen=True, slots=True)
class ConfirmOrder:
    """The prune that was looked at: ``digest`` stands for its objects."""

    project: str
    digest: bytes


def read_confirm(body: bytes) -> ConfirmOrder:
    """Read ``{"project": …, "digest": …}``.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"project", "digest"}))
    digest = value.get("digest")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise bad_request("digest in the body must be the one that GET …/waiting-prune answered")
    return ConfirmOrder(_needed(value), bytes.fromhex(digest))


@dataclass(frozen=True, slots=True)
class DiffOrder:
    """What is to be compared with what is there; None for every project, and for the ref of the configuration."""

    project: str | None
    ref: str | None
    within: float


def read_diff(body: bytes) -> DiffOrder:
    """Read ``{"project": …, "ref": …, "seconds": …}``, all optional.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"project", "ref", "seconds"}))
    seconds = value.get("seconds", DIFF_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= _LONGEST_DIFF:
        raise bad_request(f"seconds in the body must be a number from 1 to {_LONGEST_DIFF}")
    ref = value.get("ref")
    return DiffOrder(_project(value), None if ref is None else read_text(ref, "ref", _REF_LENGTH), float(seconds))


def _project(value: Mapping[str, object]) -> str | None:
    project = value.get("project")
    return None if project is None else read_text(project, "project", _PATH_LENGTH)


def _needed(value: Mapping[str, object]) -> str:
    project = _project(value)
    if not project:
        raise bad_request("project is missing in the body", "name one of the agent's manifest projects")
    return project
