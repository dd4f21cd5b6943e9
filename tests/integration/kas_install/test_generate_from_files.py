"""`kas generate` and the files that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from kas.cli.generate import generate
from tests.support.certificate import CERTIFICATE

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "glagent-0123456789"


@pytest.fixture(autouse=True)
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


def run(values: str, tmp_path: Path, *args: str) -> tuple[int, str]:
    file = tmp_path / "values.yaml"
    file.write_text(values)
    result = CliRunner().invoke(generate, ["--values", str(file), *args], env={"AGENTK_TOKEN": None})
    return result.exit_code, result.stdout or result.stderr


def written(values: str, tmp_path: Path, *args: str) -> list[dict[str, Any]]:
    code, output = run(values, tmp_path, *args)
    assert code == 0, output
    return list(yaml.safe_load_all(output))


def test_options_go_before_the_file_and_the_rest_of_it_stays(tmp_path: Path, token_file: Path) -> None:
    values = """\
kasAddress: wss://old.example.com
existingSecret: mine
namePrefix: west-
networkPolicy: {enabled: true, otherPorts: [3128]}
scope: {namespaces: [a], kinds: [services]}
"""
    made = written(
        values,
        tmp_path,
        *("--agent-token-file", str(token_file), "--kas-address", "wss://new.example.com"),
        *("--no-network-policy", "--scope", "namespace=b"),
    )

    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in made]
    assert ("Secret", "gitlab-kubernetes-agent", "west-gitlab-agent-token") in names
    assert "NetworkPolicy" not in {kind for kind, _, _ in names}
    leading = "west-gitlab-agent-leader-election"
    roles = [one for one in made if one["kind"] == "Role" and one["metadata"]["name"] != leading]
    assert {role["metadata"]["namespace"] for role in roles} == {"b"}
    # What a narrowed agent needs whatever its kinds are: inventories, events on them, and who scales.
    always = {"configmaps", "events", "horizontalpodautoscalers"}
    assert {rule["resources"][0] for role in roles for rule in role["rules"]} == {"services", *always}
    assert "--kas-address=wss://new.example.com" in made[-1]["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_file_is_read_as_kubectl_reads_it(tmp_path: Path, token_file: Path) -> None:
    values = "kasAddress: wss://kas.example.com\nrbac: n\nenv: {A: '1e3'}\n"

    made = written(values, tmp_path, "--agent-token-file", str(token_file))

    assert "ClusterRole" not in {one["kind"] for one in made}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("a: [", "--values: "),
        ("- a\n", "expected one document"),
        ("a: 1\n---\nb: 2\n", "expected one document"),
        ("nonsense: 1\n", "--values: nonsense: there is no such value"),
        ("scope: 1\n", "--scope: "),
        ("env: {A: 1}\n", "--values: env.A: "),
        ("podLabels: [a]\n", "--values: podLabels: "),
        ("logLevel: loud\n", "--values: logLevel: "),
        ("caCert: nonsense\n", "--ca-cert-file: "),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(values: str, said: str, tmp_path: Path, token_file: Path) -> None:
    given = ("--agent-token-file", str(token_file), "--kas-address", "wss://kas.example.com")
    code, output = run(values, tmp_path, *given)

    assert code == 1
    assert said in output
    assert TOKEN not in output


def test_certificates_from_a_file_are_mounted_and_a_key_is_refused(tmp_path: Path, token_file: Path) -> None:
    file = tmp_path / "ca.pem"
    given = ("--agent-token-file", str(token_file), "--kas-address", "wss://kas.example.com")
    file.write_text(CERTIFICATE)
    assert written("", tmp_path, *given, "--ca-cert-file", str(file))[-3]["data"] == {"ca.crt": CERTIFICATE}

    file.write_text(f"{CERTIFICATE}-----BEGIN EC PRIVATE KEY-----\n")
    code, output = run("", tmp_path, *given, "--ca-cert-file", str(file))
    assert (code, "--ca-cert-file: it holds a private key" in output) == (1, True)


def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    code, output = run("kasAddress: wss://kas.example.com\n", tmp_path, "--agent-token-file", "/dev/zero")

    assert code == 1
    assert "too large" in output
