"""Every route of a running kas, tried by schemathesis from the document that kas serves, by whoever may or may not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kas.web.openapi import OPERATIONS
from tests.support.installation import Kas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import APIOperation, BaseSchema, Case

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12
SECONDS = 20

ROLES = {
    "nobody": None,
    "reader": ("--role", "read"),
    "bound reader": ("--role", "read", "--project", "group/config"),
    "maintainer": ("--role", "maintainer", "--project", "group"),
    "admin": ("--role", "admin"),
}


@pytest.fixture(scope="module")
def kas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kas]:
    """A kas with two agents, which is asked much and has no Git server."""
    running = Kas(tmp_path_factory.mktemp("openapi") / "kas", "https://git.invalid/{project}.git").start()
    try:
        for project, name in (("group/config", "mine"), ("other/config", "theirs")):
            running.cli("agent", "create", "--project", project, "--name", name)
            running.cli("token", "create", "--agent", name)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def tokens(kas: Kas) -> dict[str, str]:
    found = {}
    for name, options in ROLES.items():
        if options is not None:
            printed = kas.cli("api-token", "create", "--name", name, *options)
            (found[name],) = re.findall(r"kasapi-[\w-]+", printed)
    return found


@pytest.fixture(scope="module")
def document(kas: Kas) -> BaseSchema:
    """The document as kas serves it."""
    return schemathesis.openapi.from_url(f"{kas.api}/api/v1/openapi.json")


def test_what_changes_something_takes_no_parameters(kas: Kas, tokens: dict[str, str]) -> None:
    """Left unread, a project in the parameters would make an order one about all of an agent."""
    headers = {"Authorization": f"Bearer {tokens['admin']}"}
    (agent, *_) = kas.get("agents")
    changing = [key for key in OPERATIONS if key[0] != "GET" and key[1].startswith("/api/v1/")]
    for method, path in changing:
        url = f"{kas.api}{path.replace('{id}', str(agent['id']))}?project=group/app"
        answer = requests.request(method, url, json={}, headers=headers, timeout=SECONDS)
        assert answer.status_code == 400, (path, answer.text)
        assert "unknown parameter 'project'" in answer.json()["error"]["message"]
    assert kas.get("agents") == [one for one in kas.get("agents") if one["suspension"] is None]


def test_orders_take_the_keys_that_are_documented(kas: Kas, tokens: dict[str, str]) -> None:
    """kas itself lists what it takes when it is given something else."""
    headers = {"Authorization": f"Bearer {tokens['admin']}"}
    (agent, *_) = kas.get("agents")
    for (method, path), operation in OPERATIONS.items():
        if 504 not in operation.errors:
            continue
        url = f"{kas.api}{path.replace('{id}', str(agent['id']))}"
        if operation.body is None:
            answer = requests.request(method, url, params={"nonsense": "1"}, headers=headers, timeout=SECONDS)
        else:
            answer = requests.request(method, url, json={"nonsense": 1}, headers=headers, timeout=SECONDS)
        assert answer.status_code == 400, (path, answer.text)
        taken = re.sub(r"^(this path|it) takes: ", "", answer.json()["error"]["hint"]).split(", ")
        assert set(taken) == {*operation.query, *(operation.body or ())}, path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_every_route_keeps_to_the_document_whatever_it_is_asked(
    kas: Kas, document: BaseSchema, tokens: dict[str, str], role: str, mode: GenerationMode
) -> None:
    ids = [agent["id"] for agent in kas.get("agents")]
    with requests.Session() as session:
        if role in tokens:
            session.headers["Authorization"] = f"Bearer {tokens[role]}"
        for found in document.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            described = OPERATIONS[operation.method.upper(), operation.path]
            if mode is GenerationMode.NEGATIVE and not (described.query or described.body):
                continue
            answered = ask(operation, session, ids, mode)
            if role == "nobody" and not described.open:
                assert answered <= {401, 429}, (operation.label, answered)
    assert kas.ready()


def ask(
    operation: APIOperation[Any, Any, Any, Any], session: requests.Session, ids: list[int], mode: GenerationMode
) -> set[int]:
    """Ask one route many things, hold the answers to the document, and return their statuses."""
    answered: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Case[Any]) -> None:
        number = case.path_parameters.get("id")
        if isinstance(number, int):
            # What is there, unless it would be gone for who comes after.
            case.path_parameters["id"] = ids[number % len(ids)] if case.method != "DELETE" else number + 1_000
        case.query = {name: value for name, value in (case.query or {}).items() if name != "watch"}  # it would not end
        answer = case.call(session=session, timeout=SECONDS)
        case.validate_response(answer, checks=CHECKS)
        answered.add(answer.status_code)

    once()
    return answered
