"""Webhooks: GitLab says that something was pushed, kas looks at once instead of at the next poll.

The payload only says where to look: its commit and ref are not believed, Git is asked. So a replayed or invented
webhook costs one look at a repository and can change nothing. What it must not do is tell anything to those who do not
know the secret: they get one answer, before their body is read, whether or not a secret or a project exists.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import orjson
from aiohttp import web

from agentlink.logs import get_logger
from kas.web.errors import ApiError, bad_request
from kas.web.queries import is_project_path

if TYPE_CHECKING:
    from pathlib import Path

    from kas.web.metrics import Metrics

GITLAB_WEBHOOK = "/webhooks/gitlab"

MAX_BODY = 25 * 1024 * 1024
"""Bytes of a payload: GitLab's own limit for webhooks. A smaller one would refuse real pushes of very many files, and
GitLab switches off a webhook that fails a few times. Only those who know the secret get as far as sending it."""

_SMALL_BODY = 1024 * 1024
_LARGE_AT_ONCE = 2
"""Larger bodies than that are read and parsed this many at a time, so that memory stays bounded."""

_PUSHES = frozenset({"push", "tag_push", "repository_update"})

log = get_logger("webhook")


class Poke(Protocol):
    """Looks at a project's refs soon. Returns at once; an unknown project is none of its business."""

    def __call__(self, project: str, /) -> None:
        """Ask for a look at the project with this path."""


class GitLabWebhook:
    """Answers ``POST /webhooks/gitlab``.

    Args:
        secret_file: holds the secret that GitLab sends in ``X-Gitlab-Token``; read at each request, so that replacing
            it needs no restart. None: every request is refused.
        poke: told each project that was pushed to.
        metrics: counts requests.
    """

    def __init__(self, *, secret_file: Path | None, poke: Poke, metrics: Metrics) -> None:
        self._secret_file = secret_file
        self._poke = poke
        self._metrics = metrics
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; they are open to callers without an API token."""
        return [web.post(GITLAB_WEBHOOK, self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Check the secret, then the body, then poke."""
        if not await self._trusted(request.headers.get("X-Gitlab-Token", "")):
            self._metrics.webhook("forbidden")
            log.warning("A webhook was refused: wrong X-Gitlab-Token, or none configured", remote=request.remote)
            raise ApiError(
                HTTPStatus.FORBIDDEN,
                "Forbidden",
                "the webhook is not accepted",
                "the secret token in GitLab must be that of the file which webhooks.gitlab.secret_token_file names",
            )
        if (request.content_length or MAX_BODY) <= _SMALL_BODY:
            project = await self._pushed_project(request)
        else:
            async with self._large:
                project = await self._pushed_project(request)
        if project is None:
            self._metrics.webhook("ignored")
            return web.json_response({"accepted": False}, status=HTTPStatus.ACCEPTED)
        self._poke(project)
        self._metrics.webhook("accepted")
        log.debug("A webhook asks for a look", project=project)
        # The same for a project that nothing uses: GitLab sends system hooks for all it has.
        return web.json_response({"accepted": True}, status=HTTPStatus.ACCEPTED)

    async def _trusted(self, given: str) -> bool:
        expected = await asyncio.to_thread(self._secret)
        # Compared as digests: of equal length, so that time tells nothing about the secret's either.
        digests = (hashlib.sha256(value).digest() for value in (expected, given.encode("utf-8", "surrogateescape")))
        return hmac.compare_digest(*digests) and expected != b""

    def _secret(self) -> bytes:
        if self._secret_file is None:
            return b""
        try:
            return self._secret_file.read_bytes().strip()
        except OSError as error:
            log.warning("The webhook secret cannot be read", file=str(self._secret_file), error=error.strerror)
            return b""

    async def _pushed_project(self, request: web.Request) -> str | None:
        try:
            return pushed_project(await read_capped(request, MAX_BODY))
        except ApiError as error:
            too_large = error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._metrics.webhook("too_large" if too_large else "malformed")
            raise


async def read_capped(request: web.Request, limit: int) -> bytes:
    """Read a body, and give up as soon as it is larger than ``limit`` bytes.

    Raises:
        ApiError: it is.
    """
    too_large = ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", f"the body is larger than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise too_large
    except web.RequestPayloadError as error:
        raise bad_request("the body cannot be read") from error
    return bytes(body)


def pushed_project(body: bytes) -> str | None:
    """Return the project that a payload says was pushed to, None for an event about something else.

    Takes project hooks (``object_kind``) and system hooks (``event_name``): push, tag push, repository update.

    Raises:
        ApiError: the body is not a GitLab payload.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request("the body is not JSON") from error
    if not isinstance(payload, dict):
        raise bad_request("the body is not a GitLab payload: expected a JSON object")
    event = payload.get("object_kind") or payload.get("event_name")
    if not isinstance(event, str):
        raise bad_request("the body is not a GitLab payload: neither object_kind nor event_name is a string")
    if event not in _PUSHES:
        return None
    project = payload.get("project")
    path = project.get("path_with_namespace") if isinstance(project, dict) else None
    if not isinstance(path, str) or not is_project_path(path):
        raise bad_request("the payload names no project: project.path_with_namespace must be a path such as group/name")
    return path
