from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from kas.cli.generate import generate

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

TOKEN = "glagent-0123456789"
ADDRESS = ("--kas-address", "wss://kas.example.com")


def run(*args: str, stdin: str = "", environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(generate, [*args], input=stdin, env={"AGENTK_TOKEN": None, **(environment or {})})


def refused(*args: str, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    result = run(*args, stdin=stdin, environment=environment)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "environment"),
    [
        (("--agent-token", TOKEN), "", {}),
        (("--agent-token", "-"), f"{TOKEN}\n", {}),
        ((), "", {"AGENTK_TOKEN": TOKEN}),
    ],
)
def test_a_token_comes_from_an_argument_standard_input_or_the_environment(
    args: tuple[str, ...], stdin: str, environment: dict[str, str]
) -> None:
    result = run(*ADDRESS, *args, stdin=stdin, environment=environment)

    assert result.exit_code == 0
    assert result.stdout == run(*ADDRESS, "--agent-token", TOKEN).stdout
    assert next(iter(yaml.safe_load_all(result.stdout)))["metadata"]["name"] == "gitlab-kubernetes-agent"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--kas-address", "https://kas.example.com"),
        ("--kas-address", "wss://kas.example.com\nx"),
        ("--namespace", "Wrong: {"),
        ("--namespace", ""),
        ("--name-prefix", "a\nb: c"),
        ("--image", "agentk'; DROP TABLE agents; --"),
        ("--agent-version", "{{ .Values.token }}"),
        ("--scope", "namespace=a/b"),
        ("--scope", "kinds=Deployment"),
        ("--scope", "nodes=a"),
        ("--replicas", "10"),
    ],
)
def test_a_wrong_value_is_refused_by_its_flag(flag: str, value: str) -> None:
    said = refused(*ADDRESS, "--agent-token", TOKEN, flag, value)

    assert said.startswith(f"error: {flag}: ")
    assert TOKEN not in said


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = refused("--agent-token", "kasapi-x", "--kas-address", "kas", "--name-prefix", "A")

    assert [line.split(": ")[1] for line in said.splitlines()[:-1]] == [
        "--kas-address",
        "--agent-token",
        "--name-prefix",
    ]
    assert "kasapi-x" not in said


@pytest.mark.parametrize(
    ("args", "stdin", "environment", "source"),
    [
        (("--agent-token", "glagent-a\nb"), "", {}, "--agent-token"),
        (("--agent-token", "-"), "glagent-a\nb\n", {}, "--agent-token - (standard input)"),
        (("--agent-token", "-"), "", {}, "--agent-token - (standard input)"),
        ((), "", {"AGENTK_TOKEN": "glpat-x"}, "the environment variable AGENTK_TOKEN"),
        ((), "", {}, "--agent-token-file"),
    ],
)
def test_a_wrong_or_missing_token_is_refused_by_where_it_came_from(
    args: tuple[str, ...], stdin: str, environment: dict[str, str], source: str
) -> None:
    assert refused(*ADDRESS, *args, stdin=stdin, environment=environment).startswith(f"error: {source}: ")


def test_a_token_and_a_file_are_one_too_many() -> None:
    assert "only one of them" in refused(*ADDRESS, "--agent-token", TOKEN, "--agent-token-file", "token")


def test_a_file_that_is_not_there_is_named_by_its_flag() -> None:
    for flag in ("--agent-token-file", "--ca-cert-file", "--values"):
        assert refused(*ADDRESS, flag, "no-such-file").startswith(f"error: {flag}: no-such-file cannot be read")


def test_an_image_that_nobody_named_is_said_to_be_none_that_can_be_pulled(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("image: registry.example.com/agentk\n")
    words = "no image of agentk is published: --image says where yours is"
    assert words in run(*ADDRESS, "--agent-token", TOKEN).stderr
    named = ("--image", "registry.example.com/agentk"), ("--values", str(values))
    assert [run(*ADDRESS, "--agent-token", TOKEN, *one).stderr for one in named] == ["", ""]
