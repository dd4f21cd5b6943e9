"""What can go wrong when talking to the Kubernetes API, and the one place that decides whether trying again can help.

Every failure of this room is a ``KubeError`` or one of its kinds below. Texts that may carry values of a Secret are
withheld here, before an error exists, so that no caller has to remember; see ``masking``.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson

from agentk.kube.immutable import immutable_fields
from agentk.kube.masking import mask

_MAX_MESSAGE: Final = 8192
"""Characters of a server's message that are kept; an admission webhook may answer with megabytes."""

_MAX_CAUSES: Final = 100
"""Causes that are kept: a conflict names every single field."""

_BAD_OBJECT: Final = ("failed to create typed patch object", "failed to convert new object")
"""How server-side apply words an object that does not fit its schema. It comes as 500, without a reason."""

_TOO_LARGE: Final = ("etcdserver: request is too large", "trying to send message larger than max")
"""How etcd, and its client in the API server, word an object that is too large. They come as 500, without a reason."""

_REASONS: Final = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLarge",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Invalid",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
    HTTPStatus.GATEWAY_TIMEOUT: "Timeout",
}
"""Kubernetes' words for statuses, where an answer (of a proxy, of a bare handler) names none."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One of the reasons in an error: ``field`` is a path such as ``.spec.replicas``, empty when not about a field."""

    reason: str
    message: str
    field: str = ""


_GRANTING = "attempting to grant RBAC permissions not currently held"
_GRANTING_REMEDY = (
    "an agent may grant no more than it has itself: give it these rights, or `escalate` and `bind`, see docs/install.md"
)


class KubeError(Exception):
    """The Kubernetes API refused or could not be reached.

    Attributes:
        status: The HTTP status; 0 when no complete answer came.
        reason: Kubernetes' CamelCase word (``Forbidden``, ``Conflict``, ``Invalid``…); for status 0 ``Unreachable``,
            ``Timeout``, ``Untrusted`` (TLS) or ``NoCredentials``; ``TooLarge`` for an answer above its limit.
        message: A sentence for people, free of Secret values.
        causes: Details, for a conflict one for each field and manager.
        retry_after: Seconds that the server asks to wait, if it does.
        immutable: The fields that may not be changed, as ``spec.selector: field is immutable``, where that is all that
            is wrong with an object.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
        immutable: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after
        self.immutable = immutable

    def __str__(self) -> str:
        where = f"{self.status} {self.reason}" if self.status else self.reason
        return f"{where}: {self.message}"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later without anybody changing it."""
        return is_retryable(self.status, self.reason)

    @property
    def conflicts(self) -> tuple[tuple[str, str], ...]:
        """The (manager, field) pairs that a server-side apply without force ran into."""
        return tuple(
            (_quoted(cause.message), cause.field) for cause in self.causes if cause.reason == "FieldManagerConflict"
        )


class NotLeaderError(KubeError):
    """The write did not leave: this replica does not lead, or no longer. Who leads does it; nothing has failed."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeader", "another replica of this agent may be the one to write now")


class UidConflictError(KubeError):
    """The object to delete is not the one that was meant: somebody deleted and recreated it under the same name."""


class NotOwnedError(KubeError):
    """The object to delete or to let go of does not carry the annotation of the inventory that wants that."""


class InventoryConflictError(KubeError):
    """The inventory changed since it was read, or its name is taken by another ConfigMap."""


def is_retryable(status: int, reason: str) -> bool:
    """Decide whether a failure may pass by itself: connection errors, timeouts, 429 and 5xx; a conflict (409) does not.

    A 500 that says the object itself is wrong reaches this function with the reason ``Invalid``, one that says that it
    is too large with ``RequestEntityTooLarge``; both are final.
    """
    if reason in {"Invalid", "RequestEntityTooLarge", "TooLarge", "Untrusted", "NoCredentials", "NotLeader"}:
        return False
    return (
        status in {0, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def first_of(errors: BaseExceptionGroup[KubeError]) -> KubeError:
    """Return one of the failures of a group: the tasks did the same thing, and one reason is enough to say."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, KubeError)  # noqa: S101 - what except* selected
    return error


def error_from_response(status: int, body: bytes, *, retry_after: str | None = None, secret: bool = False) -> KubeError:
    """Read the error that the server answered.

    Args:
        status: The HTTP status.
        body: The answer, a ``Status`` object as a rule; anything else is taken as text.
        retry_after: The header of that name; only its form in seconds is understood.
        secret: Whether the request was about Secrets, whose values the server may have echoed.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) and document.get("kind") == "Status":
        return error_from_status(document, status=status, retry_after=retry_after, secret=secret)
    text = " ".join(body.decode("utf-8", "replace").split())
    reason = _reason_for(status)
    return KubeError(
        status,
        reason,
        mask(reason, text) if secret else _bounded(text) or f"the server answered HTTP {status} without saying why",
        retry_after=_seconds(retry_after),
    )


def error_from_status(
    document: dict[str, object], *, status: int | None = None, retry_after: str | None = None, secret: bool = False
) -> KubeError:
    """Read a decoded ``Status`` object, from an error answer or from a watch's ``ERROR`` event."""
    code = document.get("code")
    status = status or (code if isinstance(code, int) else 0)
    message = str(document.get("message") or "")
    reason = str(document.get("reason") or "") or _reason_for(status)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and message.startswith(_BAD_OBJECT):
        reason = "Invalid"
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and any(words in message for words in _TOO_LARGE):
        reason = _REASONS[HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    wait = details.get("retryAfterSeconds")
    listed = details.get("causes")
    causes = tuple(
        Cause(str(c.get("reason") or ""), str(c.get("message") or ""), str(c.get("field") or ""))
        for c in (listed[:_MAX_CAUSES] if isinstance(listed, list) else ())
        if isinstance(c, dict)
    )
    immutable = immutable_fields((cause.field, cause.message) for cause in causes)
    if secret or str(details.get("kind", "")).lower() in {"secret", "secrets"}:
        message = mask(reason, message, tuple(c.field for c in causes if c.field))
        causes = tuple(
            c if c.reason == "FieldManagerConflict" else Cause(c.reason, mask(c.reason, "", (c.field,)), c.field)
            for c in causes
        )
    return KubeError(
        status,
        reason,
        _bounded(_with_remedy(message)) or reason,
        causes=tuple(Cause(c.reason, _bounded(c.message), c.field) for c in causes),
        retry_after=float(wait) if isinstance(wait, int) and wait > 0 else _seconds(retry_after),
        immutable=immutable,
    )


def _with_remedy(message: str) -> str:
    """Say what to do where Kubernetes stops a Role or binding by its check against privilege escalation."""
    before, found, after = message.partition(_GRANTING)
    return f"{before}{found} ({_GRANTING_REMEDY}){after}" if found else message


def _reason_for(status: int) -> str:
    try:
        known = HTTPStatus(status)
    except ValueError:
        return "Unknown"
    return _REASONS.get(known, known.phrase.title().replace(" ", "").replace("-", ""))


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}… ({len(text)} characters)"


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None


def _quoted(text: str) -> str:
    """Return what stands between the first two double quotes: ``kubectl`` of ``conflict with "kubectl" using v1``."""
    parts = text.split('"')
    return parts[1] if len(parts) > 2 else text  # noqa: PLR2004 - before, between and after the quotes
