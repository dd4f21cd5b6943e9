"""What kind of refusal an error of the API server is, so that a status says more than ``Forbidden``.

The server's own words stay in the message; this only finds the word for programs, and who has to act.
"""

from __future__ import annotations

import re
from typing import Final

_REASONS: Final = (
    ("QuotaExceeded", re.compile(r"exceeded quota: ")),
    (
        "AdmissionUnavailable",
        re.compile(r"failed calling webhook |refused by the admission webhook \S+ \(InternalError\)"),
    ),
    ("AdmissionDenied", re.compile(r'admission webhook "[^"]*" denied the request|refused by the admission ')),
    ("AdmissionDenied", re.compile(r"AdmissionPolicy '[^']*'.* denied request")),
)
"""Reason and what the message holds, the text in place of a withheld one included; the first that fits."""


def reason_of(reason: str, message: str) -> str:
    """Return the CamelCase word for an error; the server's own where there is none better."""
    return next((word for word, pattern in _REASONS if pattern.search(message)), reason)
