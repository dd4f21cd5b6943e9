from __future__ import annotations

import pytest

from agentk.apply.rules.refused import reason_of


@pytest.mark.parametrize(
    ("reason", "message", "word"),
    [
        ("Forbidden", 'pods "a" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1', "QuotaExceeded"),
        ("Forbidden", 'admission webhook "a.b.c" denied the request: no', "AdmissionDenied"),
        (
            "Invalid",
            "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            "AdmissionDenied",
        ),
        ("Forbidden", "refused by the admission webhook a.b.c (Forbidden); the server's text", "AdmissionDenied"),
        ("Invalid", "refused by the admission policy p (Invalid); the server's text", "AdmissionDenied"),
        ("InternalError", 'Internal error occurred: failed calling webhook "a.b.c": refused', "AdmissionUnavailable"),
        ("InternalError", "refused by the admission webhook a.b.c (InternalError); the", "AdmissionUnavailable"),
        ("Forbidden", 'User "x" cannot patch resource "pods"', "Forbidden"),
        ("Invalid", "spec.replicas: must be positive", "Invalid"),
    ],
)
def test_a_refusal_has_the_word_of_what_refused(reason: str, message: str, word: str) -> None:
    assert reason_of(reason, message) == word
