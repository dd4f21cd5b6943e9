"""Whose projects an agent's config.yaml may name: its own group's, and others that kas.yaml lets it read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Agent, Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

PATH = ".gitlab/agents/alpha/config.yaml"
SHIPPED = "project_access: {}\n"
"""What kas.yaml says of this by default."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """An installation whose kas.yaml says nothing of who may read what."""
    with installed(tmp_path_factory.mktemp("whose"), control_plane.kubeconfig, settings=SHIPPED) as installation:
        yield installation


def test_who_pushes_refused_projects_again_and_again_writes_few_lines_to_the_audit_log(
    shared: Installation, namespace: str
) -> None:
    config = shared.git.create("gamma/config")
    config.push_files(config_files("gamma", namespace, *(f"beta/p{n}" for n in range(60))))
    shared.agent("gamma", project="gamma/config")
    lines = wait_until(
        lambda: [one for one in audit(shared) if one["action"] == "project.read"], what="the refusal is audited"
    )
    assert len(lines) == 1
    assert lines[0]["subject"].startswith("beta/p0, beta/p1, ")
    assert " and 40 more for agent gamma/config:gamma" in lines[0]["subject"]


def test_another_groups_project_is_not_fetched_not_sent_and_said_until_kas_yaml_allows_it(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas, git = shared.kas, shared.git
    own = Driven(kas, "alpha", "alpha/own", git.create("alpha/own"), kube, namespace)
    other = Driven(kas, "alpha", "beta/secret", git.create("beta/secret"), kube, namespace)
    own.repository.push_files({"manifests/own.yaml": config_map("own")})
    theirs = other.repository.push_files({"manifests/theirs.yaml": config_map("theirs")})
    config = git.create("alpha/config")
    files = config_files("alpha", namespace, "alpha/own", "beta/secret")
    config.push_files(files)
    line = 1 + next(n for n, text in enumerate(files[PATH].splitlines()) if "beta/secret" in text)

    agent = shared.agent("alpha", project="alpha/config")
    own.wait("healthy")
    refused = other.wait("failed", reason="ProjectNotAllowed")
    for told in (f"{PATH}:{line}: gitops.manifest_projects[1].id", "project_access", "operator", "kas.yaml"):
        assert told in refused["message"]
    assert "alpha/config: [beta/secret]" in refused["message"]

    own.goes_on()
    assert other.value("theirs") is None
    assert "beta/secret" not in agent.log.read_text()
    assert not any(theirs in text.read_text() for text in (kas.directory / "data").rglob("packed-refs"))
    heads = (kas.directory / "data" / "mirrors").rglob("*")
    assert not any(file.is_file() and file.read_bytes().strip() == theirs.encode() for file in heads)

    # Neither does anything that people order of the agent lead there.
    for order in (
        ("diff", "beta/secret", "--agent", "alpha", "--ref", "main"),
        ("rollback", "beta/secret", "--agent", "alpha", "--to", theirs),
    ):
        done = kas.run_cli(*order)
        assert done.returncode != 0, order
        assert "beta/secret" in done.stderr, done.stderr
        assert "project_access" in done.stderr, done.stderr

    (audited,) = [
        one for one in audit(shared) if "alpha/config:alpha" in one["subject"] and one["action"] == "project.read"
    ]
    assert (audited["outcome"], audited["project"]) == ("refused", "alpha/config")
    assert audited["subject"].startswith("beta/secret for agent alpha/config:alpha (id ")

    said = identify(shared, agent)
    assert "ProjectNotAllowed" in said["message"]
    assert f"{PATH}:{line}" in said["message"]

    checked = check(shared)
    assert [(one["level"], one["check"]) for one in checked] == [("WARNING", "project_access")]
    assert f"agent alpha of alpha/config: {PATH}:{line}" in checked[0]["message"]
    assert "beta/secret" in checked[0]["message"]
    assert "alpha/config: [beta/secret]" in checked[0]["remedy"]

    kas.stop()
    kas.config.write_text(kas.config.read_text().replace(SHIPPED, "project_access: {alpha/config: [beta/secret]}\n"))
    kas.start()
    other.wait("healthy", commit=theirs)
    assert other.value("theirs") == "1"
    assert check(shared) == []

    kas.stop()
    kas.config.write_text(
        kas.config.read_text().replace("{alpha/config: [beta/secret]}", "{alpha/config: [beta/public]}")
    )
    kas.start()
    other.wait("failed", reason="ProjectNotAllowed")
    other.push({"manifests/theirs.yaml": config_map("theirs", "changed")})
    own.goes_on()
    assert other.value("theirs") == "1", "what was delivered stays as it is, and is driven no more"
    wait_until(lambda: "beta/secret" not in agent_projects(shared), what="the agent has let it go")


def audit(installation: Installation) -> list[dict[str, str]]:
    """Return the lines of the audit log."""
    found: list[dict[str, str]] = json.loads(installation.kas.cli("audit", "-o", "json"))["items"]
    return found


def check(installation: Installation) -> list[dict[str, str]]:
    """Return what ``kas check`` says of the configuration of agent alpha."""
    done = installation.kas.run_cli("check", "--config", str(installation.kas.config), "-o", "json")
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return [one for one in found if one["message"].startswith("agent alpha ")]


def identify(installation: Installation, agent: Agent) -> dict[str, str]:
    """Return what ``agentk check`` says of the agent's configuration."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "agentk", "check", "--kas-address", installation.kas.address, "-o", "json"),
            *("--token-file", agent.token_file, "--kubeconfig", installation.kubeconfig, "--kinds", "configmaps"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return next(one for one in found if one["check"] == "configuration")


def agent_projects(installation: Installation) -> list[str]:
    """Return the projects of the newest configuration that the agent says it has."""
    log = (installation.directory / "agents" / "agentk-alpha.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if '"Configuration in force"' in line]
    return list(lines[-1]["projects"])
