"""What callers of the API may ask: parameters and bodies, read and checked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from kas.store.records import SyncState
from kas.web.authorization import EVERYWHERE, Grant, Role, mistake_in
from kas.web.cursors import read_cursor
from kas.web.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kas.store.objects import Place

MAX_LIMIT = 10_000
_ID_DIGITS = 18

_AGENT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PROJECT_PATH = re.compile(r"(?:(?!\.{1,2}(?:/|$))[\w.][\w.+-]*(?:/(?!$)|$)){1,30}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PATH_LENGTH = 1024
_TEXT_LENGTH = 255
_DESCRIPTION_LENGTH = 4096
_LONGEST_LIFE = timedelta(days=36_525)


def is_project_path(text: str) -> bool:
    """Tell whether a text can be a project's path: no empty, ``.`` or ``..`` part, which a file system would follow."""
    return len(text) <= _PATH_LENGTH and _PROJECT_PATH.fullmatch(text) is not None


def is_agent_name(text: str) -> bool:
    """Tell whether a text can be an agent's name, as GitLab has it."""
    return _AGENT_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How a caller names an agent; ``project`` is None where the name alone is meant to do."""

    project: str | None
    name: str

    def __str__(self) -> str:
        """Write it as it was given."""
        return self.name if self.project is None else f"{self.project}:{self.name}"


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a list or watch; None where one is not given. ``limit`` is None for the path's own.

    ``after`` is the object that the page before ended with.
    """

    agent: AgentSpec | None = None
    project: str | None = None
    commit: str | None = None
    state: SyncState | None = None
    event_type: str | None = None
    everything: bool = False
    limit: int | None = None
    after: Place | None = None
    watch: bool = False


def read_query(given: Mapping[str, str], allowed: frozenset[str]) -> Query:
    """Read the parameters of a request.

    Raises:
        ApiError: a parameter is not among those this path takes, or has a wrong value.
    """
    for name in given:
        if name not in allowed:
            takes = ", ".join(sorted(allowed)) or "none"
            raise bad_request(f"unknown parameter {name[:64]!r}", f"this path takes: {takes}")
    return Query(
        agent=_agent(_name("agent", given["agent"])) if "agent" in given else None,
        project=_name("project", given["project"]) if "project" in given else None,
        commit=_commit(given["commit"]) if "commit" in given else None,
        state=_state(given["state"]) if "state" in given else None,
        event_type=_one_of("type", given["type"], ("Normal", "Warning")) if "type" in given else None,
        everything=_flag("all", given.get("all", "0")),
        limit=_limit(given["limit"]) if "limit" in given else None,
        after=read_cursor(given["cursor"]) if "cursor" in given else None,
        watch=_flag("watch", given.get("watch", "0")),
    )


def _name(parameter: str, text: str) -> str:
    # Not the rules of names, which agents from elsewhere may not keep; only what no database has to be asked about.
    if len(text) > _PATH_LENGTH + _TEXT_LENGTH or not text.isprintable():
        raise bad_request(f"parameter {parameter} cannot be {text[:64]!r}", "a name is printable, and not so long")
    return text


def _commit(text: str) -> str:
    if not _COMMIT.fullmatch(text):
        raise bad_request(f"parameter commit cannot be {text[:64]!r}", "7 to 64 digits of a commit's id, in lower case")
    return text


def _agent(text: str) -> AgentSpec:
    project, colon, name = text.rpartition(":")
    return AgentSpec(project if colon else None, name)


def _state(text: str) -> SyncState:
    return SyncState(_one_of("state", text, tuple(SyncState)))


def _one_of(name: str, text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise bad_request(f"parameter {name} cannot be {text[:64]!r}", f"it is one of {', '.join(words)}")
    return text


def _flag(name: str, text: str) -> bool:
    return _one_of(name, text, ("0", "1", "false", "true")) in {"1", "true"}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS and 1 <= int(text) <= MAX_LIMIT):
        raise bad_request(f"parameter limit cannot be {text[:64]!r}", f"it is a number from 1 to {MAX_LIMIT}")
    return int(text)


def read_id(text: str) -> int:
    """Read the id in a path.

    Raises:
        ApiError: it is not one.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
        raise bad_request(f"{text[:64]!r} is not an id", "an id is a number; the lists show them")
    return int(text)


def read_object(body: bytes, keys: frozenset[str]) -> dict[str, object]:
    """Read a body that is a JSON object with no other keys.

    Raises:
        ApiError: it is not such a body.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request("the body is not JSON") from error
    if not isinstance(value, dict):
        raise bad_request("the body is not a JSON object")
    for key in value:
        if key not in keys:
            raise bad_request(f"unknown key {key[:64]!r} in the body", f"it takes: {', '.join(sorted(keys))}")
    return value


def read_text(value: object, key: str, length: int) -> str:
    """Check a text of a body.

    Raises:
        ApiError: it is none, too long, or holds what does not print.
    """
    if not isinstance(value, str) or len(value) > length or not value.isprintable():
        raise bad_request(f"{key} in the body must be text of at most {length} printable characters")
    return value


@dataclass(frozen=True, slots=True)
class NewAgent:
    """An agent to register; ``agent_id`` is None for one whose id does not matter."""

    project: str
    name: str
    agent_id: int | None = None


def read_new_agent(body: bytes) -> NewAgent:
    """Read the body that creates an agent: ``{"project": …, "name": …, "id": …}``, the id optional.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"project", "name", "id"}))
    new = new_agent(value.get("project"), value.get("name"))
    return NewAgent(new.project, new.name, _agent_id(value.get("id")))


def new_agent(project: object, name: object) -> NewAgent:
    """Check what an agent is to be called, by GitLab's rules.

    Raises:
        ApiError: it cannot be called so.
    """
    project = read_text(project, "project", _PATH_LENGTH)
    name = read_text(name, "name", _TEXT_LENGTH)
    if not is_project_path(project):
        raise bad_request(f"{project!r} is not a project's path", "a path is such as group/config")
    if not is_agent_name(name):
        raise bad_request(
            f"{name!r} cannot be an agent's name",
            "1 to 63 lower-case letters, digits and dashes, with a letter or digit first and last",
        )
    return NewAgent(project, name)


def _agent_id(value: object) -> int | None:
    # Not more than 2^53: every reader of JSON takes it for the same number.
    if value is None or (type(value) is int and 1 <= value < 1 << 53):
        return value
    raise bad_request("id in the body must be a number from 1, the agent's in GitLab", "leave it out for a new agent")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token of an agent to be made."""

    name: str = ""
    description: str = ""


def read_new_token(body: bytes) -> NewToken:
    """Read the body that creates a token, ``{"name": …, "description": …}``, both optional.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"name", "description"}))
    return new_token(value.get("name", ""), value.get("description", ""))


def new_token(name: object, description: object) -> NewToken:
    """Check what a token is to be called.

    Raises:
        ApiError: it cannot be called so.
    """
    return NewToken(read_text(name, "name", _TEXT_LENGTH), read_text(description, "description", _DESCRIPTION_LENGTH))


@dataclass(frozen=True, slots=True)
class NewApiToken:
    """A token for people to be made; ``expires_at`` is None for one that does not expire."""

    name: str
    grant: Grant
    expires_at: datetime | None = None


def read_new_api_token(body: bytes, now: datetime) -> NewApiToken:
    """Read the body that creates an API token: ``{"name": …, "role": …, "project": …, "expires_at": …}``.

    Project and end are optional.

    Raises:
        ApiError: it is not such a body.
    """
    value = read_object(body, frozenset({"name", "role", "project", "expires_at"}))
    name = read_text(value.get("name"), "name", _TEXT_LENGTH)
    if not name.strip():
        raise bad_request("name in the body must not be empty", "it stands in the audit log for who has the token")
    role = _one_of("role", str(value.get("role")), tuple(Role))
    project = read_text(value.get("project", EVERYWHERE), "project", _PATH_LENGTH)
    if project and not is_project_path(project):
        raise bad_request(f"{project!r} is not the path of a project or group", "a path is such as group/config")
    grant = Grant(Role(role), project)
    if mistake := mistake_in(grant):
        raise bad_request(mistake)
    return NewApiToken(name, grant, _expiry(value.get("expires_at"), now))


def _expiry(value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not now < at < now + _LONGEST_LIFE:
        raise bad_request(
            "expires_at in the body must be a time to come, with its offset, within a hundred years",
            "such as 2030-01-31T12:00:00Z; leave it out for a token that does not expire",
        )
    return at.astimezone(UTC)
