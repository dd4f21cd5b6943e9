"""Manifests that cannot be used: nothing of their revision is applied or pruned, and everybody else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n   labels: {}\n"
NAMES = ("broken", "twice", "versions", "defaulted", "empty", "vanished", "bomb", "nested", "huge", "neighbour")


@pytest.fixture(scope="module")
def projects(
    tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster, kube: Kube, namespace: str
) -> Iterator[dict[str, Driven]]:
    """One agent, and for every test a manifest project of its own."""
    with installed(tmp_path_factory.mktemp("manifests"), control_plane.kubeconfig) as installation:
        yield drive(installation, kube, namespace, agent="main", projects=tuple(f"group/{name}" for name in NAMES))


def test_a_broken_file_holds_back_the_whole_revision_until_a_push_repairs_it(projects: dict[str, Driven]) -> None:
    project = projects["broken"]
    project.push({"manifests/kept.yaml": config_map("kept"), "manifests/left.yaml": config_map("left")})
    wait_until(lambda: project.value("left"), what="both objects exist")

    project.repository.write({"manifests/kept.yaml": config_map("kept", "2"), "manifests/deep/bad.yaml": BROKEN})
    bad = project.remove("manifests/left.yaml")
    sync = project.wait("failed", commit=bad, reason="InvalidYAML")

    assert "manifests/deep/bad.yaml:5" in sync["message"]
    assert "manifests/deep/bad.yaml:5" in project.kas.cli("get", "syncs", "--agent", "main")
    projects["neighbour"].goes_on()
    assert project.value("kept") == "1"
    assert project.value("left") == "1"

    good = project.push({"manifests/deep/bad.yaml": config_map("repaired")})
    sync = project.wait("healthy", commit=good)
    assert (sync["counts"]["created"], sync["counts"]["configured"], sync["counts"]["pruned"]) == (1, 1, 1)
    assert (project.value("kept"), project.value("left"), project.value("repaired")) == ("2", None, "1")


def test_an_object_in_two_files_is_an_error_that_names_both_places(projects: dict[str, Driven]) -> None:
    project = projects["twice"]
    project.wait("healthy")

    bad = project.push({"manifests/a.yaml": config_map("dup", "a"), "manifests/b.yaml": config_map("dup", "b")})
    sync = project.wait("failed", commit=bad, reason="DuplicateObject")

    assert "manifests/b.yaml:1" in sync["message"]
    assert "manifests/a.yaml:1" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("dup") is None
    good = project.remove("manifests/b.yaml")
    project.wait("healthy", commit=good)
    assert project.value("dup") == "a"


def test_one_object_under_two_api_versions_is_a_duplicate(projects: dict[str, Driven]) -> None:
    project = projects["versions"]
    project.wait("healthy")
    old = deployment("web").replace("apps/v1", "apps/v1beta1")

    bad = project.push({"manifests/new.yaml": deployment("web"), "manifests/old.yaml": old})
    sync = project.wait("failed", commit=bad, reason="DuplicateObject")

    assert "manifests/old.yaml:1" in sync["message"]
    path = f"/apis/apps/v1/namespaces/{project.namespace}/deployments/web"
    assert project.kube.find(path) is None


def test_a_clash_that_the_default_namespace_brings_about_is_a_duplicate(projects: dict[str, Driven]) -> None:
    project = projects["defaulted"]
    project.wait("healthy")
    explicit = config_map("clash", "explicit", namespace=project.namespace)

    bad = project.push({"manifests/a.yaml": config_map("clash", "implicit"), "manifests/b.yaml": explicit})
    sync = project.wait("failed", commit=bad, reason="DuplicateObject")

    assert "manifests/a.yaml:1" in sync["message"]
    assert project.value("clash") is None


def test_globs_that_match_nothing_prune_nothing(projects: dict[str, Driven]) -> None:
    project = projects["empty"]
    project.wait("healthy")

    bad = project.repository.push_removal("manifests")
    project.kas.webhook(project.project)
    sync = project.wait("failed", commit=bad, reason="EmptySelection")

    assert "nothing was applied or pruned" in sync["message"]
    assert "/manifests/**/*.yaml" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("empty") == "1"


def test_a_file_without_objects_is_not_a_wish_to_prune_everything(projects: dict[str, Driven]) -> None:
    project = projects["vanished"]
    project.push({"manifests/more.yaml": config_map("more")})
    wait_until(lambda: project.value("more"), what="both objects exist")
    project.wait("healthy")

    project.repository.remove("manifests/more.yaml")
    bad = project.push({"manifests/vanished.yaml": "# everything has been commented out\n"})
    sync = project.wait("failed", commit=bad, reason="EmptySelection")

    assert "nothing was applied or pruned" in sync["message"]
    projects["neighbour"].goes_on()
    assert (project.value("vanished"), project.value("more")) == ("1", "1")


def _bomb() -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb-file}\n" + "\n".join(levels) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bomb", _bomb(), "TooManyNodes"),
        ("nested", "apiVersion: v1\nkind: ConfigMap\ndata: " + "[" * 50_000 + "]" * 50_000 + "\n", "TooDeep"),
        ("huge", config_map("huge-file", "x" * (6 * 1024 * 1024)), "FileTooLarge"),
    ],
    ids=["alias bomb", "deep nesting", "huge scalar"],
)
def test_what_would_blow_up_the_parser_is_an_error_of_that_project_only(
    projects: dict[str, Driven], name: str, content: str, reason: str
) -> None:
    project = projects[name]
    project.wait("healthy")
    before = _peak_kilobytes(project)

    bad = project.push({"manifests/trap.yaml": content, f"manifests/{name}.yaml": config_map(name, "2")})
    sync = project.wait("failed", commit=bad, reason=reason)

    assert "manifests/trap.yaml" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value(name) == "1"
    assert _peak_kilobytes(project) - before < 256 * 1024
    good = project.remove("manifests/trap.yaml")
    project.wait("healthy", commit=good)
    assert project.value(name) == "2"


def _peak_kilobytes(project: Driven) -> int:
    """Return the most memory that kas has ever had resident."""
    status = Path(f"/proc/{project.kas.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
