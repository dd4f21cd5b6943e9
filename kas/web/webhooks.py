"""Webhooks: a Git server says that something was pushed, kas looks at once instead of at the next poll.

The payload only says where to look: its commit and ref are not believed, Git is asked. So a replayed or invented
webhook costs one look at a repository and can change nothing. What it must not do is tell anything to those who do not
know the secret: they get one answer, whether or not a secret or a project exists. How senders differ is in
``webhook_senders``.
"""

from __future__ import annotations

import asyncio
import functools
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from agentlink.logs import get_logger
from kas.web.errors import ApiError, bad_request
from kas.web.webhook_senders import SENDERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kas.web.metrics import Metrics
    from kas.web.webhook_senders import Sender

WEBHOOKS = frozenset(path for sender in SENDERS for path in (sender.path, f"{sender.path}/"))
"""The routes, which are open to callers without an API token."""

MAX_BODY = 25 * 1024 * 1024
"""Bytes of a payload: GitLab's and GitHub's own limit for webhooks. A smaller one would refuse real pushes of very many
files, and GitLab switches off a webhook that fails a few times."""

_SMALL_BODY = 1024 * 1024
_LARGE_AT_ONCE = 2
"""Larger bodies than that are read and parsed this many at a time, so that memory stays bounded."""

_BODY_SECONDS = 30.0
"""How long a body may take to arrive: whoever sends slowly must not keep the others waiting."""

log = get_logger("webhook")


class Poke(Protocol):
    """Looks at a project's refs soon. Returns at once; an unknown project is none of its business."""

    def __call__(self, project: str, /) -> None:
        """Ask for a look at the project with this path."""


class Webhooks:
    """Answers ``POST /webhooks/<sender>``.

    Args:
        secret_files: For each sender, by its name, the file with the secret; read at each request, so that replacing it
            needs no restart. A sender that is not in it is refused.
        poke: Told each project that was pushed to.
        metrics: Counts requests.
    """

    def __init__(self, *, secret_files: Mapping[str, Path], poke: Poke, metrics: Metrics) -> None:
        self._secret_files = secret_files
        self._poke = poke
        self._metrics = metrics
        # Apart from each other: a signed body is read before anything is known of who sends it.
        self._large = {signed: asyncio.Semaphore(_LARGE_AT_ONCE) for signed in (False, True)}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; they are open to callers without an API token."""
        return [
            web.post(path, functools.partial(self.handle, sender))
            for sender in SENDERS
            for path in (sender.path, f"{sender.path}/")
        ]

    async def handle(self, sender: Sender, request: web.Request) -> web.Response:
        """Check the proof and the body, in the order that the sender's proof allows, then poke."""
        proof = request.headers.get(sender.proof_header, "")
        secret = await asyncio.to_thread(self._secret, sender)
        if not proof or not secret or (not sender.signed and not sender.is_genuine(secret, proof, b"")):
            raise self._refusal(sender, request)
        if (request.content_length or MAX_BODY) <= _SMALL_BODY:
            project = await self._pushed_project(sender, request, secret, proof)
        else:
            async with self._large[sender.signed]:
                project = await self._pushed_project(sender, request, secret, proof)
        if project is None:
            self._metrics.webhook("ignored")
            return web.json_response({"accepted": False}, status=HTTPStatus.ACCEPTED)
        self._poke(project)
        self._metrics.webhook("accepted")
        log.debug("A webhook asks for a look", project=project, sender=sender.name)
        # The same for a project that nothing uses: GitLab sends system hooks for all it has.
        return web.json_response({"accepted": True}, status=HTTPStatus.ACCEPTED)

    def _refusal(self, sender: Sender, request: web.Request) -> ApiError:
        self._metrics.webhook("forbidden")
        log.warning(
            "A webhook was refused: its secret is wrong, or none is configured",
            sender=sender.name,
            header=sender.proof_header,
            remote=request.remote,
        )
        return ApiError(
            HTTPStatus.FORBIDDEN,
            "Forbidden",
            "the webhook is not accepted",
            f"the secret where the webhook is set up must be that of the file which the webhooks.{sender.name} "
            "section of kas.yaml names",
        )

    def _secret(self, sender: Sender) -> bytes:
        path = self._secret_files.get(sender.name)
        if path is None:
            return b""
        try:
            return path.read_bytes().strip()
        except OSError as error:
            log.warning("The webhook secret cannot be read", file=str(path), error=error.strerror)
            return b""

    async def _pushed_project(self, sender: Sender, request: web.Request, secret: bytes, proof: str) -> str | None:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await read_capped(request, MAX_BODY)
        except TimeoutError as error:
            self._metrics.webhook("malformed")
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "Timeout", "the body took too long to arrive") from error
        except ApiError as error:
            too_large = error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._metrics.webhook("too_large" if too_large else "malformed")
            raise
        if sender.signed and not sender.is_genuine(secret, proof, body):
            raise self._refusal(sender, request)
        try:
            return sender.pushed_project(request.headers.get(sender.event_header, ""), body)
        except ApiError:
            self._metrics.webhook("malformed")
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
    except (web.RequestPayloadError, ConnectionError) as error:
        raise bad_request("the body cannot be read") from error
    return bytes(body)
