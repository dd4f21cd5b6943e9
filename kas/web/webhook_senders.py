"""Who sends webhooks: how each proves itself, and where its payload says which project was pushed to. Pure.

After the public documentation of GitLab, GitHub and Gitea (which Forgejo follows); ``generic`` is for any other Git
server, from a hook of two lines. Receiving, limits and answers are in ``webhooks``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from kas.web.errors import bad_request
from kas.web.queries import is_project_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HASH_PREFIX: Final = "sha256="


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
            payload = orjson.loads(body)
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
GENERIC: Final = Sender(
    "generic", "X-Signature-256", signed=True, event_header="", project=_of_anybody, proof_prefix=_HASH_PREFIX
)
SENDERS: Final = (GITLAB, GITHUB, GITEA, GENERIC)
