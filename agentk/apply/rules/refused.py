"""What kind of refusal an error of the API server is, so that a status says more than ``Forbidden``.

The server's own words stay in the message; this only finds the word for programs, and what to do where the server does
not say it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentk.apply.model import Refusal


class _Known(NamedTuple):
    """The word for an error whose ``Reason: message`` fits ``pattern``, and a remedy; both texts may be withheld."""

    word: str
    pattern: re.Pattern[str]
    remedy: str = ""


_KNOWN: Final = (
    _Known("QuotaExceeded", re.compile(r"exceeded quota: ")),
    _Known(
        "AdmissionUnavailable",
        re.compile(r"failed calling webhook |refused by the admission webhook \S+ \(InternalError\)"),
    ),
    _Known("AdmissionDenied", re.compile(r'admission webhook "[^"]*" denied the request|refused by the admission ')),
    _Known("AdmissionDenied", re.compile(r"AdmissionPolicy '[^']*'.* denied request")),
    _Known("EscalationRefused", re.compile(r"attempting to grant RBAC permissions not currently held")),
    _Known(
        "NamespaceNotFound",
        re.compile(r'NotFound: namespaces "[^"]*" not found'),
        "create the namespace, or add it to the manifests",
    ),
    _Known(
        "NamespaceTerminating",
        re.compile(r"because it is being terminated"),
        "it is tried again until the namespace is gone and made anew",
    ),
    _Known(
        "ObjectTooLarge",
        re.compile(r"RequestEntityTooLarge: |may not be more than 1048576 bytes"),
        "no more than about a megabyte can be stored in one object; split it, or keep the data elsewhere",
    ),
)
"""The first that fits counts."""


def refusal_of(reason: str, message: str) -> Refusal:
    """Return an error's CamelCase word, the server's own where there is none better, and its message with a remedy."""
    text = f"{reason}: {message}"
    known = next((one for one in _KNOWN if one.pattern.search(text)), None)
    if known is None:
        return Refusal(reason, message)
    return Refusal(known.word, f"{message}; {known.remedy}" if known.remedy else message)
