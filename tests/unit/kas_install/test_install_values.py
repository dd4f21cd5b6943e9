from __future__ import annotations

from typing import Any

import pytest

from kas.install.scope import parse_scope
from kas.install.values import Values, ValuesError, check_namespace, read_values, split_image
from tests.support.certificate import CERTIFICATE

NEEDED = {"kasAddress": "wss://kas.example.com", "token": "glagent-0123456789"}

HOSTILE = [
    "a\nb: c",
    "a: {b",
    "{{ .Values.token }}",
    "'; DROP TABLE agents; --",
    "../../etc",
    "a b",
    "A",
    "é",
    "-a",
    "\0",
]


def refused(**given: object) -> list[tuple[str, str]]:
    with pytest.raises(ValuesError) as error:
        read_values({**NEEDED, **given})
    return [(finding.key, finding.message) for finding in error.value.findings]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("key", ["namePrefix", "image", "existingSecret", "priorityClassName"])
def test_a_name_that_kubernetes_would_refuse_is_refused_by_its_own_name(key: str, text: str) -> None:
    ((found, message),) = refused(**{key: text}, **({"token": ""} if key == "existingSecret" else {}))

    assert found == key
    assert message.startswith("expected")
    assert text not in message


@pytest.mark.parametrize("text", HOSTILE)
def test_a_namespace_or_kind_that_cannot_be_is_refused_with_its_place(text: str) -> None:
    assert [key for key, _ in refused(scope={"namespaces": ["good", text]})] == ["scope.namespaces[1]"]
    assert [key for key, _ in refused(scope={"kinds": [text]})] == ["scope.kinds[0]"]
    assert [key for key, _ in refused(scope={"impersonate": [f"a/{text}"]})] == ["scope.impersonate[0]"]
    with pytest.raises(ValuesError, match="namespace: expected"):
        check_namespace(text)


@pytest.mark.parametrize("kind", ["deployments/scale", "*", "*.apps", "deployments.apps.", "Deployment", "a..b-"])
def test_what_is_no_kind_is_refused(kind: str) -> None:
    assert "kubectl api-resources" in refused(scope={"kinds": [kind]})[0][1]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValuesError) as error:
        read_values({"namePrefix": "Ä", "replicas": -1, "nonsense": 1, "logLevel": "loud"})

    assert {finding.key for finding in error.value.findings} == {"namePrefix", "replicas", "nonsense", "logLevel"}


def test_without_an_address_or_token_each_is_asked_for() -> None:
    with pytest.raises(ValuesError) as error:
        read_values({})

    assert [finding.key for finding in error.value.findings] == ["kasAddress", "token"]


@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("https://kas.example.com", "use wss://kas.example.com"),
        ("kas.example.com", "write wss://kas.example.com"),
        ("ftp://kas.example.com", "use wss, ws, grpcs or grpc"),
        ("wss://kas.example.com:8153", "agents connect to 8150"),
        ("wss://user:pw@kas.example.com", "--token-file"),
        ("wss://kas.example.com\nnamespace: x", "pasted wrongly"),
        ("grpcs://kas.example.com/path", "remove it"),
    ],
)
def test_a_wrong_address_is_refused_with_the_likely_fix(address: str, fix: str) -> None:
    ((key, message),) = refused(kasAddress=address)

    assert key == "kasAddress"
    assert fix in message
    assert "pw" not in message


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("kasapi-0123456789", "a token for kas' API"),
        ("glpat-0123456789", "a personal access token"),
        ("glagent-01234\n56789", "not pasted whole"),
        ("-----BEGIN CERTIFICATE-----", "a certificate"),
        (" \n", "is empty"),
    ],
)
def test_a_wrong_token_is_refused_and_not_quoted(token: str, why: str) -> None:
    ((key, message),) = refused(token=token)

    assert key == "token"
    assert why in message
    assert token.strip() not in message or not token.strip()


def test_a_line_break_after_the_token_does_no_harm() -> None:
    assert read_values({**NEEDED, "token": "glagent-0123456789\n"}).token == "glagent-0123456789"


def test_a_token_is_not_in_the_repr() -> None:
    assert "glagent" not in repr(read_values(NEEDED))


def test_a_token_and_a_secret_that_is_there_are_one_too_many() -> None:
    assert refused(existingSecret="mine") == [("token", "is given beside existingSecret: leave one of them out")]


@pytest.mark.parametrize("replicas", [-1, 10, 100])
def test_fewer_replicas_than_none_or_more_than_are_of_use_are_refused(replicas: int) -> None:
    ((key, message),) = refused(replicas=replicas)

    assert key == "replicas"
    assert "should be" in message


@pytest.mark.parametrize("replicas", [0, 1])
def test_one_replica_or_none_may_be(replicas: int) -> None:
    assert read_values({**NEEDED, "replicas": replicas}).replicas == replicas


def test_a_private_key_does_not_get_into_a_config_map() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"
    ((where, message),) = refused(caCert=CERTIFICATE + key)

    assert where == "caCert"
    assert "private key" in message


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "é"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    assert "no certificates in PEM form" in refused(caCert=text)[0][1]


def test_certificates_are_kept_as_they_are() -> None:
    assert read_values({**NEEDED, "caCert": f"\n{CERTIFICATE}\n\n"}).ca_cert == CERTIFICATE


def test_a_version_beside_an_image_that_has_one_is_refused() -> None:
    assert [key for key, _ in refused(image="agentk:1", agentVersion="2")] == ["agentVersion"]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("agentk", ("agentk", "")),
        ("host:5000/agentk", ("host:5000/agentk", "")),
        ("host:5000/a/agentk:1", ("host:5000/a/agentk", "1")),
        ("agentk@sha256:0", ("agentk", "@sha256:0")),
        ("agentk:1@sha256:0", ("agentk", "1@sha256:0")),
    ],
)
def test_an_image_is_told_from_its_tag(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts


@pytest.mark.parametrize(
    "wrong", [{"rbac": "no"}, {"replicas": "1"}, {"env": {"A": 1}}, {"networkPolicy": {"dnsPorts": [0]}}]
)
def test_a_value_of_the_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    assert len(refused(**wrong)) == 1


def test_a_scope_adds_up() -> None:
    assert parse_scope(["namespace=a,b", "kinds=configmaps", "impersonate=a/b", "namespaces= c "]) == {
        "namespaces": ["a", "b", "c"],
        "kinds": ["configmaps"],
        "impersonate": ["a/b"],
    }


@pytest.mark.parametrize("text", ["", "a", "namespace", "namespace=", "namespace=,", "nodes=a", "=a"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValuesError, match="scope: expected namespace=a,b"):
        parse_scope([text])


def test_every_value_says_what_it_is_for() -> None:
    assert not [name for name, field in Values.model_fields.items() if not field.description]
