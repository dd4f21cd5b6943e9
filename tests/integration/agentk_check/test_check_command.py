"""The command ``agentk check`` against a whole kas and a real API server: text, JSON and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Installation
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.installation import Agent

pytestmark = pytest.mark.cluster

CONFIG = "gitops:\n  manifest_projects:\n  - id: group/manifests\n"


@pytest.fixture
def agent(tmp_path: Path, git_server: GitServer, control_plane: Cluster) -> Iterator[Agent]:
    """An agent that is registered and does not run."""
    git_server.create("group/config").push_files({".gitlab/agents/mine/config.yaml": CONFIG})
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as installation:
        yield installation.agent("mine", project="group/config", start=False)


def run(agent: Agent, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "agentk", "check", "--kas-address", agent.kas.address),
            *("--token-file", str(agent.token_file), "--kubeconfig", str(kubeconfig), *arguments),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_a_complete_installation_is_all_well_and_its_configuration_named(agent: Agent, control_plane: Cluster) -> None:
    done = run(agent, control_plane.kubeconfig)

    assert done.returncode == 0, done.stdout
    assert not done.stderr
    assert "kas takes it for agent group/config:mine" in done.stdout
    assert "manifest projects: group/manifests" in done.stdout
    assert done.stdout.splitlines()[-1] == "11 OK, 0 WARNING, 0 FAILED"
    assert agent.token_file.read_text().strip() not in done.stdout
    assert not agent.connected()


def test_a_configuration_that_cannot_be_used_is_told_with_its_place(
    agent: Agent, git_server: GitServer, control_plane: Cluster
) -> None:
    del git_server
    agent.kas.cli("agent", "create", "--project", "group/config", "--name", "unconfigured")
    agent.token_file.write_text(agent.kas.cli("token", "create", "--agent", "unconfigured"))

    done = run(agent, control_plane.kubeconfig, "-o", "json")

    assert done.returncode == 1
    assert findings(done)["token"]["level"] == "OK"
    assert findings(done)["configuration"]["level"] == "FAILED"
    assert ".gitlab/agents/unconfigured/config.yaml does not exist" in findings(done)["configuration"]["message"]


def test_a_wrong_token_fails_the_check_and_the_cluster_is_still_looked_at(agent: Agent, control_plane: Cluster) -> None:
    agent.token_file.write_text("glagent-" + "0" * 50)

    done = run(agent, control_plane.kubeconfig, "-o", "json")

    assert done.returncode == 1
    assert findings(done)["token"]["level"] == "FAILED"
    assert findings(done)["rights"]["level"] == "OK"
    assert "0" * 50 not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--kas-address", "https://kas.example.com"),
        ("--namespace", "a,,b"),
        ("--output", "xml"),
        ("--ca-cert-file", "no"),
    ],
)
def test_wrong_usage_is_another_exit_code(agent: Agent, control_plane: Cluster, arguments: tuple[str, ...]) -> None:
    assert run(agent, control_plane.kubeconfig, *arguments).returncode == 2
