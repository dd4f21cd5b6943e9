from __future__ import annotations

import orjson
import pytest

from agentk.kube.errors import Cause, error_from_response, is_retryable
from agentk.kube.masking import mask


def status(code: int, message: str, **more: object) -> bytes:
    return orjson.dumps({"kind": "Status", "apiVersion": "v1", "code": code, "message": message, **more})


def test_a_status_becomes_an_error_with_its_causes() -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using apps/v1', "field": ".spec.a"}
    error = error_from_response(
        409, status(409, "Apply failed with 1 conflict", reason="Conflict", details={"causes": [cause]})
    )
    assert (error.status, error.reason) == (409, "Conflict")
    assert error.causes == (Cause("FieldManagerConflict", 'conflict with "kubectl" using apps/v1', ".spec.a"),)
    assert error.conflicts == (("kubectl", ".spec.a"),)
    assert str(error) == "409 Conflict: Apply failed with 1 conflict"


@pytest.mark.parametrize(
    ("code", "reason", "retryable"),
    [
        (0, "Unreachable", True),
        (0, "Timeout", True),
        (0, "Untrusted", False),
        (0, "NoCredentials", False),
        (200, "TooLarge", False),
        (302, "Found", False),
        (400, "BadRequest", False),
        (401, "Unauthorized", False),
        (403, "Forbidden", False),
        (404, "NotFound", False),
        (408, "RequestTimeout", True),
        (409, "Conflict", False),
        (410, "Expired", False),
        (422, "Invalid", False),
        (429, "TooManyRequests", True),
        (500, "InternalError", True),
        (500, "Invalid", False),
        (503, "ServiceUnavailable", True),
        (504, "Timeout", True),
    ],
)
def test_what_is_worth_another_attempt(code: int, reason: str, *, retryable: bool) -> None:
    assert is_retryable(code, reason) is retryable


@pytest.mark.parametrize(
    "message",
    [
        "etcdserver: request is too large",
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2500589 vs. 2097152)",
    ],
)
def test_an_object_that_etcd_does_not_take_is_final_though_it_comes_as_500(message: str) -> None:
    error = error_from_response(500, orjson.dumps({"kind": "Status", "message": message, "code": 500}))
    assert error.reason == "RequestEntityTooLarge"
    assert not error.retryable


def test_an_object_that_does_not_fit_its_schema_is_final_although_the_server_says_500() -> None:
    message = "failed to create typed patch object (/s; apps/v1, Kind=Deployment): .spec.foo: field not declared"
    error = error_from_response(500, status(500, message))
    assert error.reason == "Invalid"
    assert not error.retryable
    assert error.message == message


def test_a_refused_grant_says_what_to_do() -> None:
    said = (
        'roles.rbac.authorization.k8s.io "x" is forbidden: user "system:serviceaccount:a:b" (groups=["c"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["deletecollection"]}'
    )
    error = error_from_response(403, status(403, said, reason="Forbidden"))
    assert error.reason == "Forbidden"
    assert "may grant no more than it has itself" in error.message.splitlines()[0]
    assert error.message.endswith('Verbs:["deletecollection"]}')


def test_the_wait_that_the_server_asks_for_is_read_from_either_place() -> None:
    assert error_from_response(429, b"slow down", retry_after="7").retry_after == 7.0
    asked = status(429, "slow down", reason="TooManyRequests", details={"retryAfterSeconds": 3})
    assert error_from_response(429, asked).retry_after == 3.0
    assert error_from_response(503, b"", retry_after="Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"\xff\xfe", b"[]", b'{"kind":"Status"}', b"null"])
def test_an_answer_that_is_no_status_still_makes_a_whole_error(body: bytes) -> None:
    error = error_from_response(502, body)
    assert error.status == 502
    assert error.reason == "BadGateway"
    assert error.message


def test_endless_texts_and_causes_are_cut() -> None:
    causes = [{"reason": "FieldValueInvalid", "message": "m" * 20_000, "field": "f"}] * 1000
    error = error_from_response(422, status(422, "x" * 1_000_000, reason="Invalid", details={"causes": causes}))
    assert len(error.message) < 9000
    assert len(error.causes) == 100
    assert len(error.causes[0].message) < 9000


VALUE = "hunter2-bXkgcGFzc3dvcmQ="


@pytest.mark.parametrize(
    "message",
    [
        f'admission webhook "check.example.com" denied the request: {VALUE}',
        f'Internal error occurred: failed calling webhook "check.example.com": {VALUE}',
        f"secrets \"s\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {VALUE}",
        f"failed to create typed patch object (n/s; /v1, Kind=Secret): .stringData.a: expected string, got {VALUE}",
        f'Secret "s" is invalid: data[a]: Invalid value: "{VALUE}": no',
        f"failed to convert new object: illegal base64 data in {VALUE}",
        f'secrets "s" not found\n{VALUE}',
        f'secrets "s" already exists {VALUE}',
        f'secrets is forbidden: User "u" cannot get resource "secrets" in API group "" at the cluster scope: {VALUE}',
        VALUE,
    ],
)
def test_no_text_about_a_secret_can_carry_its_value(message: str) -> None:
    cause = {"reason": "FieldValueInvalid", "message": f'Invalid value: "{VALUE}"', "field": "data[a]"}
    body = status(422, message, reason="Invalid", details={"causes": [cause]})
    error = error_from_response(422, body, secret=True)
    assert VALUE not in str(error)
    assert all(VALUE not in cause.message for cause in error.causes)
    assert "data[a]" in error.message or error.message.endswith("not found")
    assert VALUE not in str(error_from_response(422, message.encode(), secret=True))


def test_a_status_that_names_secrets_is_masked_whatever_the_request_was() -> None:
    body = status(422, f"no: {VALUE}", reason="Invalid", details={"kind": "Secret"})
    assert VALUE not in str(error_from_response(422, body))


@pytest.mark.parametrize(
    "message",
    [
        'secrets "s" not found',
        'secrets "s" is forbidden: User "u" cannot get resource "secrets" in API group "" in the namespace "n"',
        'secrets is forbidden: User "u" cannot list resource "secrets" in API group "" at the cluster scope',
        'secrets "s" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=5, limited: c=5',
        'Apply failed with 1 conflict: conflict with "kubectl": .data.password',
        'Apply failed with 2 conflicts: conflicts with "kubectl" using v1:\n- .data.password\n- .data.user',
    ],
)
def test_sentences_known_to_hold_only_names_are_kept_for_a_secret(message: str) -> None:
    assert mask("Forbidden", message) == message


def test_a_masked_text_names_who_refused_and_where() -> None:
    text = 'admission webhook "check.example.com" denied the request: x'
    assert "by the admission webhook check.example.com" in mask("Forbidden", text)
    typed = "failed to create typed patch object (n/s; /v1, Kind=Secret): .stringData.a: expected string, got x"
    assert "at .stringData.a;" in mask("Invalid", typed)
    assert "not base64" in mask("InternalError", "…: illegal base64 data at input byte 7")
