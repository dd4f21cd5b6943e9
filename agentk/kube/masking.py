"""Withholding what an API server's error text may say of a Secret's values.

The server echoes input in some errors (a value of the wrong type, a webhook that quotes what it refuses), in words that
change from version to version. So texts about Secrets are dropped, except for a few whole sentences that are known to
hold names alone; reason and field paths stay. Pure text; who must be masked is decided in ``errors``.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = r'"[^"\s]*"'

_BY_RBAC: Final = (
    rf"secrets( {_NAME})? is forbidden: User {_NAME} cannot [a-z]+ resource \"secrets\" in API group \"\""
    rf"( in the namespace {_NAME}| at the cluster scope)"
)
_PRECONDITION: Final = (
    rf"Operation cannot be fulfilled on [Ss]ecrets? {_NAME}: the (UID|ResourceVersion) in the precondition"
    r" \([\w-]*\) does not match the (UID|ResourceVersion) in record \([\w-]*\)\."
    r" The object might have been (deleted and then recreated|modified)"
)
_MODIFIED: Final = (
    rf"Operation cannot be fulfilled on secrets {_NAME}: the object has been modified; please apply your changes"
    r" to the latest version and try again"
)
_OWNED: Final = (
    rf"Apply failed with \d+ conflicts?: conflicts? with {_NAME}( using [\w./-]+)?:(\s+(- )?\.[\w.\":{{}}-]+)+"
)

_SAFE: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(secrets|namespaces) {_NAME} not found",
        rf"secrets {_NAME} already exists",
        r"the server could not find the requested resource",
        rf"secrets {_NAME} is forbidden: unable to create new content in namespace \S+ because it is being terminated",
        rf"secrets {_NAME} is forbidden: exceeded quota: [\w.-]+, requested: [\w=.,/ :-]+",
        r"Unauthorized",
        r"Too many requests, please try again later\.",
        _BY_RBAC,
        _PRECONDITION,
        _MODIFIED,
        _OWNED,
    )
)
"""Sentences of the server that name objects, users and fields, never content; compared whole."""

_TYPED_FIELD: Final = re.compile(r"failed to create typed patch object \([^)\s]*; /v1, Kind=Secret\): (\.[\w.-]+): ")
_WEBHOOK: Final = re.compile(r'(?:admission webhook|failed calling webhook) "([\w.-]+)"')
_POLICY: Final = re.compile(r"ValidatingAdmissionPolicy '([\w.-]+)'")


def mask(reason: str, message: str, fields: tuple[str, ...] = ()) -> str:
    """Return ``message`` if it is known to hold no value of a Secret, otherwise what may be said in its place.

    Args:
        reason: Kubernetes' word for the failure.
        message: The server's own text.
        fields: Paths that the server named in the causes.
    """
    if any(pattern.fullmatch(message) for pattern in _SAFE):
        return message
    by = ""
    if found := _WEBHOOK.search(message):
        by = f" by the admission webhook {found[1]}"
    elif found := _POLICY.search(message):
        by = f" by the admission policy {found[1]}"
    elif found := _TYPED_FIELD.match(message):
        fields = (*fields, found[1])
    at = f" at {', '.join(fields)}" if fields else ""
    hint = ""
    if "illegal base64" in message:
        hint = "; a value under data is not base64, write it under stringData or encode it"
    return f"refused{by} ({reason}){at}{hint}; the server's text is withheld because it may quote the Secret's values"
