"""Who sends webhooks: how each proves itself, and where its payload says which project was pushed to. Pure.

After the public documentation of GitLab, GitHub, Gitea (which Forgejo follows), Gogs, Bitbucket and Azure DevOps;
``generic`` is for any other Git server, from a hook of two lines. Receiving, limits and answers are in ``webhooks``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from kas.web.errors import bad_request
from kas.web.queries import is_project_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HASH_PREFIX: Final = "sha256="
_FORM: Final = b"payload="


@dataclass(frozen=True, slots=True)
class Sender:
    """One kind of sender.

    ``proof_header`` carries either the secret itself (``signed`` False), which is looked at before the body is read, or
    the body's HMAC-SHA256 by the secret, in hexadecimal after ``proof_prefix``. ``project`` takes the event's name
    (from ``event_header``, empty where there is none) and the payload; it returns the project that was pushed to, as
    the payload has it, None for an event about something else.
    """

    name: str
    proof_header: str
    signed: bool
    event_header: str
    project: Callable[[str, Mapping[str, Any]], object | None]
    proof_prefix: str = ""

    @property
    def path(self) -> str:
        """Return the path of its route."""
        return f"/webhooks/{self.name}"

    def is_genuine(self, secret: bytes, proof: str, body: bytes) -> bool:
        """Tell whether the proof is of one who knows the secret; an empty secret is known to nobody."""
        given = proof.encode("utf-8", "surrogateescape")
        expected = secret
        if self.signed:
            expected = f"{self.proof_prefix}{hmac.new(secret, body, hashlib.sha256).hexdigest()}".encode()
        # Compared as digests: of equal length, so that time tells nothing about the secret's either.
        same = hmac.compare_digest(hashlib.sha256(expected).digest(), hashlib.sha256(given).digest())
        return same and secret != b""

    def pushed_project(self, event: str, body: bytes) -> str | None:
        """Return the project that a payload says was pushed to, None for an event about something else.

        Raises:
            ApiError: The body is not a payload of this sender.
        """
        try:
            payload = orjson.loads(_json_of(body))
        except orjson.JSONDecodeError as error:
            raise bad_request("the body is not JSON; choose application/json where the webhook is set up") from error
        if not isinstance(payload, dict):
            raise bad_request(f"the body is not a {self.name} payload: expected a JSON object")
        path = self.project(event, payload)
        if path is None:
            return None
        if not isinstance(path, str) or not is_project_path(path):
            raise bad_request(f"the {self.name} payload names no project by a path such as group/name")
        return path


def _json_of(body: bytes) -> bytes:
    """Return the JSON of a body, which GitHub and its kin send as the one field of a form unless told otherwise."""
    return unquote_to_bytes(body[len(_FORM) :].replace(b"+", b" ")) if body.startswith(_FORM) else body


_GITLAB_PUSHES: Final = frozenset({"push", "tag_push", "repository_update"})
_PUSHES: Final = frozenset({"push", "create", "delete"})
"""A branch or tag that is created or deleted changes what a ref means as a push does."""


def _of_gitlab(_: str, payload: Mapping[str, Any]) -> object | None:
    """Read project hooks (``object_kind``) and system hooks (``event_name``)."""
    event = payload.get("object_kind") or payload.get("event_name")
    if not isinstance(event, str):
        raise bad_request("the body is not a gitlab payload: neither object_kind nor event_name is a string")
    return _member(payload, "project", "path_with_namespace") if event in _GITLAB_PUSHES else None


def _of_repository(event: str, payload: Mapping[str, Any]) -> object | None:
    return _member(payload, "repository", "full_name") if event in _PUSHES else None


def _of_bitbucket(event: str, payload: Mapping[str, Any]) -> object | None:
    """Read pushes of Bitbucket Cloud (``repo:push``), and of Server and Data Center (``repo:refs_changed``)."""
    if event == "repo:push":
        return _member(payload, "repository", "full_name")
    if event != "repo:refs_changed":
        return None
    repository = payload.get("repository")
    project = _member(repository, "project", "key") if isinstance(repository, dict) else ""
    return f"{project}/{_member(payload, 'repository', 'slug')}"


def _of_azure(_: str, payload: Mapping[str, Any]) -> object | None:
    """Read pushes of Azure DevOps, whose repositories are at ``<project>/_git/<repository>``."""
    resource = payload.get("resource")
    if payload.get("eventType") != "git.push" or not isinstance(resource, dict):
        return None
    repository = resource.get("repository")
    project = _member(repository, "project", "name") if isinstance(repository, dict) else ""
    return f"{project}/_git/{_member(resource, 'repository', 'name')}"


def _of_anybody(_: str, payload: Mapping[str, Any]) -> object:
    return payload.get("project", "")


def _member(payload: Mapping[str, Any], section: str, key: str) -> object:
    found = payload.get(section)
    return found.get(key, "") if isinstance(found, dict) else ""


GITLAB: Final = Sender("gitlab", "X-Gitlab-Token", signed=False, event_header="", project=_of_gitlab)
GITHUB: Final = Sender(
    "github",
    "X-Hub-Signature-256",
    signed=True,
    event_header="X-GitHub-Event",
    project=_of_repository,
    proof_prefix=_HASH_PREFIX,
)
GITEA: Final = Sender("gitea", "X-Gitea-Signature", signed=True, event_header="X-Gitea-Event", project=_of_repository)
GOGS: Final = Sender("gogs", "X-Gogs-Signature", signed=True, event_header="X-Gogs-Event", project=_of_repository)
BITBUCKET: Final = Sender(
    "bitbucket",
    "X-Hub-Signature",
    signed=True,
    event_header="X-Event-Key",
    project=_of_bitbucket,
    proof_prefix=_HASH_PREFIX,
)
AZURE: Final = Sender("azure", "X-Kas-Token", signed=False, event_header="", project=_of_azure)
GENERIC: Final = Sender(
    "generic", "X-Signature-256", signed=True, event_header="", project=_of_anybody, proof_prefix=_HASH_PREFIX
)
SENDERS: Final = (GITLAB, GITHUB, GITEA, GOGS, BITBUCKET, AZURE, GENERIC)
