from __future__ import annotations

import pytest

from agentk.apply.rules.refused import refusal_of


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
        ("NotFound", 'namespaces "gone" not found', "NamespaceNotFound"),
        ("NotFound", 'namespaces.example.com "gone" not found', "NotFound"),
        (
            "Forbidden",
            'configmaps "a" is forbidden: unable to create new content in namespace b because it is being terminated',
            "NamespaceTerminating",
        ),
        ("RequestEntityTooLarge", "etcdserver: request is too large", "ObjectTooLarge"),
        ("Invalid", 'ConfigMap "a" is invalid: []: Too long: may not be more than 1048576 bytes', "ObjectTooLarge"),
        (
            "Forbidden",
            'roles "a" is forbidden: user "x" is attempting to grant RBAC permissions not currently held:\n{…}; remedy',
            "EscalationRefused",
        ),
        ("Forbidden", 'User "x" cannot patch resource "pods"', "Forbidden"),
        ("Invalid", "spec.replicas: must be positive", "Invalid"),
    ],
)
def test_a_refusal_has_the_word_of_what_refused(reason: str, message: str, word: str) -> None:
    assert refusal_of(reason, message).reason == word


def test_the_servers_words_stay_and_a_remedy_follows_where_they_name_none() -> None:
    words = 'namespaces "gone" not found'
    assert refusal_of("NotFound", words).message == f"{words}; create the namespace, or add it to the manifests"
    assert refusal_of("Invalid", "spec: wrong").message == "spec: wrong"
