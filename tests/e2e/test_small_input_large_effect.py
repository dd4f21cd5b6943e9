"""A few kilobytes in Git that were made to take much of kas: its memory stays within bounds, and everybody goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, drive, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

# Files of 5 MiB are allowed, and what is read of one has to be somewhere; each of these took more than twice as much.
MOST_GROWTH = 200 * 1024 * 1024

DEEP_LIST = "kind: List\nitems:\n- x: " + "[" * 96 + "0," * 250_000 + "]" * 96 + "\n"
DOCUMENTS = 5500 * (
    f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\nx: &a {'z' * 400}\ny: [{'*a,' * 120}]\n"
)
ALIASED_PROJECTS = (
    f"x: &x {{paths: [{'{},' * 900}]}}\ngitops:\n  manifest_projects: [{'*x,' * 499}{{id: group/neighbour}}]\n"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("large"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def projects(running: Installation, kube: Kube, namespace: str) -> dict[str, Driven]:
    names = ("group/deep", "group/documents", "group/neighbour")
    return drive(running, kube, namespace, agent="main", projects=names)


def most_memory(pid: int) -> int:
    """Return the most that a process ever had in memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.parametrize(
    ("name", "text", "reason", "message"),
    [
        ("deep", DEEP_LIST, "InvalidManifest", "manifests/large.yaml:3: apiVersion is missing"),
        ("documents", DOCUMENTS, "FileTooLarge", "its objects come to more than"),
    ],
)
def test_manifests_of_a_few_kilobytes_in_git_take_bounded_memory(  # noqa: PLR0917 - pytest fills them
    running: Installation, projects: dict[str, Driven], name: str, text: str, reason: str, message: str
) -> None:
    project = projects[name]
    project.wait("healthy")
    projects["neighbour"].wait("healthy")
    pid = running.kas.process.pid
    before = most_memory(pid)

    bad = project.push({"manifests/large.yaml": text})
    sync = project.wait("failed", commit=bad, reason=reason)

    assert message in sync["message"]
    assert most_memory(pid) - before < MOST_GROWTH
    projects["neighbour"].goes_on()


def test_a_configuration_of_a_few_kilobytes_takes_bounded_memory(
    running: Installation, projects: dict[str, Driven]
) -> None:
    projects["neighbour"].wait("healthy")
    pid = running.kas.process.pid
    before = most_memory(pid)

    running.git.create("config/large").push_files({".gitlab/agents/large/config.yaml": ALIASED_PROJECTS})
    running.agent("large", project="config/large")
    sync = running.kas.wait_sync("large", state="failed", reason="InvalidConfiguration")

    assert "aliases expand to more than a file may hold" in sync["message"]
    assert most_memory(pid) - before < MOST_GROWTH
    projects["neighbour"].goes_on()
