"""What kas serves at ``/install``: the objects that `kas generate` writes, with a token made on the way."""

from __future__ import annotations

import http.client
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.certificate import CERTIFICATE
from tests.support.installation import Kas
from tests.support.installed_agent import documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


ADDRESS = "wss://kas.example.com"


NO_GIT = "https://git.invalid/{project}.git"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_text(CERTIFICATE)
    return file


@pytest.fixture(scope="module")
def kas(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[Kas]:
    install = f"kas_address: {ADDRESS}, image: registry.example.com/agentk, ca_cert_file: {authority}"
    running = Kas(tmp_path_factory.mktemp("kas"), NO_GIT, settings=f"install: {{{install}}}\n").start()
    try:
        running.cli("agent", "create", "--project", "group/config", "--name", "my-agent")
        yield running
    finally:
        running.stop()


def fetch(
    kas: Kas, path: str, *, method: str = "GET", token: str | None = None, body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send the path as it is: no client in between tidies it up."""
    connection = http.client.HTTPConnection("127.0.0.1", kas.api_port, timeout=10)
    secret = (kas.directory / "data" / "admin-token").read_text().strip() if token is None else token
    connection.request(method, path, body, headers={"Authorization": f"Bearer {secret}"} if secret else {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def api_token(kas: Kas, chosen: dict[str, str]) -> str:
    status, _, answer = fetch(kas, "/api/v1/api-tokens", method="POST", body=orjson.dumps(chosen))
    assert status == 201, answer
    return str(orjson.loads(answer)["secret"])


def refused(kas: Kas, path: str, *, token: str | None = None) -> tuple[int, str, str]:
    status, _, body = fetch(kas, path, token=token)
    error: dict[str, Any] = orjson.loads(body)["error"]
    return status, error["reason"], error["message"]


def tokens(kas: Kas) -> list[dict[str, Any]]:
    (agent,) = kas.get("agents")
    listed: list[dict[str, Any]] = kas.get(f"agents/{agent['id']}/tokens")
    return listed


def test_what_is_served_is_what_kas_generate_writes_with_a_new_token(kas: Kas, authority: Path, tmp_path: Path) -> None:
    before = tokens(kas)
    query = "namespace=agents&scope=namespace=a,b&scope=kinds=services&name_prefix=x-"

    status, headers, body = fetch(kas, f"/install/group/config/my-agent.yaml?{query}")

    assert (status, headers["Content-Type"]) == (200, "application/yaml; charset=utf-8")
    assert headers["Cache-Control"] == "no-store"
    (secret,) = (one for one in documents(body.decode()) if one["kind"] == "Secret")
    token = tmp_path / "token"
    token.write_bytes(b64decode(secret["data"]["token"]))
    same = ("--agent-token-file", str(token), "--kas-address", ADDRESS, "--image", "registry.example.com/agentk")
    chosen = ("--namespace", "agents", "--scope", "namespace=a,b", "--scope", "kinds=services", "--name-prefix", "x-")
    assert body.decode() == kas.cli("generate", *same, *chosen, "--ca-cert-file", str(authority))
    assert [one["name"] for one in tokens(kas) if one not in before] == ["install"]


def test_roles_and_network_policy_can_be_left_out(kas: Kas) -> None:
    _, _, body = fetch(kas, "/install/group/config/my-agent.yaml?rbac=0&network_policy=false&replicas=0&image=a:1")

    objects = documents(body.decode())
    assert [one["kind"] for one in objects] == ["Namespace", "ServiceAccount", "Secret", "ConfigMap", "Deployment"]
    assert objects[-1]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "namespace=Wrong",
        "namespace=a%0Ab:%20c",
        "scope=nodes=a",
        "scope=namespace=a%0Ab",
        "replicas=10",
        "replicas=x",
        "rbac=maybe",
        "image=a%20b",
        "kas_address=https://kas.example.com",
        "name_prefix=%7B%7B%20.Values.token%20%7D%7D",
        "nonsense=1",
        "image=a&image=b",
        "token=glagent-0123456789",
    ],
)
def test_a_wrong_parameter_is_named_and_leaves_no_token_behind(kas: Kas, query: str) -> None:
    before = tokens(kas)

    status, reason, message = refused(kas, f"/install/group/config/my-agent.yaml?{query}")

    assert (status, reason) == (400, "BadRequest")
    assert query.partition("=")[0] in message
    assert tokens(kas) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/install/group/config/other.yaml", 404),
        ("/install/group/other/my-agent.yaml", 404),
        ("/install/group/config/x/../my-agent.yaml", 400),
        ("/install/group/config/%2e%2e/config/my-agent.yaml", 400),
        ("/install/../group/config/my-agent.yaml", 400),
        ("/install//group/config/my-agent.yaml", 400),
        ("/install/group/config%00/my-agent.yaml", 400),
        ("/install/group/config/my-agent'%20OR%201=1.yaml", 400),
        ("/install/group/config/%ff.yaml", 400),
        ("/install/group/config/my-agent", 404),
        ("/install/my-agent.yaml", 404),
    ],
)
def test_a_path_that_names_no_agent_gives_nothing(kas: Kas, path: str, status: int) -> None:
    before = tokens(kas)

    assert refused(kas, path)[0] == status
    assert tokens(kas) == before


def test_an_agent_that_a_token_may_not_see_is_as_if_it_were_not_there(kas: Kas) -> None:
    secret = api_token(kas, {"name": "x", "role": "read", "project": "elsewhere"})

    hidden = refused(kas, "/install/group/config/my-agent.yaml", token=secret)
    missing = refused(kas, "/install/group/config/no-agent.yaml", token=secret)

    assert hidden[0] == 404
    assert hidden == (*missing[:2], missing[2].replace("no-agent", "my-agent"))


def test_who_may_only_read_gets_no_token(kas: Kas) -> None:
    secret = api_token(kas, {"name": "y", "role": "read"})
    before = tokens(kas)

    assert refused(kas, "/install/group/config/my-agent.yaml", token=secret)[:2] == (403, "Forbidden")
    assert tokens(kas) == before


@pytest.mark.parametrize("token", ["", "kasapi-wrong", "glagent-wrong"])
def test_nobody_gets_it_without_an_api_token(kas: Kas, token: str) -> None:
    before = tokens(kas)

    assert refused(kas, "/install/group/config/my-agent.yaml", token=token)[:2] == (401, "Unauthorized")
    assert tokens(kas) == before


def test_to_ask_for_the_headers_alone_makes_no_token(kas: Kas) -> None:
    before = tokens(kas)

    assert fetch(kas, "/install/group/config/my-agent.yaml", method="HEAD")[0] == 405
    assert tokens(kas) == before


def test_what_the_operator_has_to_set_is_named(tmp_path: Path) -> None:
    kas = Kas(tmp_path / "kas", NO_GIT, settings="install: {ca_cert_file: no-such-file}\n").start()
    try:
        kas.cli("agent", "create", "--project", "group/config", "--name", "my-agent")
        path = "/install/group/config/my-agent.yaml"

        status, reason, message = refused(kas, path)
        assert (status, reason) == (409, "NotConfigured")
        assert "install.ca_cert_file cannot be read" in message

        (tmp_path / "kas" / "no-such-file").write_text(CERTIFICATE)
        status, reason, message = refused(kas, path)
        assert (status, reason) == (409, "NotConfigured")
        assert "install.kas_address" in message

        assert fetch(kas, f"{path}?kas_address={ADDRESS}")[0] == 200
    finally:
        kas.stop()
