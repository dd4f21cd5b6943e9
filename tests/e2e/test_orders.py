"""What people order of a running agent: suspend, go back, sync anew, confirm a prune; seen in the cluster."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import drive, installed
from tests.support.manifests import config_map
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.driven import Driven
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """One kas for the tests of this file; each has an agent of its own."""
    with installed(tmp_path_factory.mktemp("orders"), control_plane.kubeconfig) as found:
        yield found


def driven(running: Installation, kube: Kube, namespace: str, name: str) -> tuple[Driven, Driven]:
    """Two projects of one agent: the one that orders are about, with a ConfigMap of the name, and its neighbour."""
    projects = drive(running, kube, namespace, agent=name, projects=(f"group/{name}", f"group/{name}-other"))
    for one in projects.values():
        one.wait("healthy")
    return projects[name], projects[f"{name}-other"]


def cli_json(one: Driven, *args: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(one.kas.cli(*args, "--agent", one.agent, "-o", "json"))


def damage(one: Driven, name: str) -> None:
    """Change an object by hand."""
    path = f"/api/v1/namespaces/{one.namespace}/configmaps/{name}"
    one.kube.patch(path, {"data": {"value": "by hand"}})


def test_a_suspended_project_is_left_alone_over_a_restart_of_kas_and_goes_straight_on_when_it_is_resumed(
    running: Installation, kube: Kube, namespace: str
) -> None:
    app, other = driven(running, kube, namespace, "suspended")
    app.kas.cli("suspend", app.project, "--agent", app.agent, "--reason", "freeze")

    damage(app, "suspended")
    pushed = app.push({"manifests/suspended.yaml": config_map("suspended", "2")})
    other.goes_on()
    app.kas.kill()
    app.kas.start()
    other.goes_on()

    assert app.value("suspended") == "by hand"
    line = cli_json(app, "get", "syncs", "--project", app.project)["items"][0]
    assert (line["suspension"]["by"], line["suspension"]["reason"]) == ("first", "freeze")
    refused = app.kas.run_cli("reconcile", app.project, "--agent", app.agent)
    assert refused.returncode == 1
    assert "suspended" in refused.stderr

    app.kas.cli("resume", app.project, "--agent", app.agent)
    wait_until(lambda: app.value("suspended") == "2", what="the newest revision after resuming")
    app.wait("healthy", commit=pushed)


def test_a_pipeline_waits_for_its_commit_also_while_kas_restarts(
    running: Installation, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    app, _ = driven(running, kube, namespace, "awaited")
    app.repository.write({"manifests/awaited.yaml": config_map("awaited", "2")})
    commit = app.repository.commit()
    job = {"CI_PROJECT_PATH": app.project, "CI_COMMIT_SHA": commit, "PYTHONPATH": str(ROOT), **app.kas.environment}
    pipeline = Process("kas", [sys.executable, "-m", "kas", "wait"], log=tmp_path / "log", env=job)
    wait_until(lambda: app.kas.metric("kas_api_watches") == 1, what="it watches")
    app.kas.kill()
    app.kas.start()
    app.repository.push()
    app.kas.webhook(app.project)

    assert pipeline.wait(60) == 0, pipeline.log_text()
    assert pipeline.log_text() == f"agent awaited: project {app.project} @ {commit[:8]} healthy, 1 (1 configured)\n"
    assert app.value("awaited") == "2"


def test_a_project_goes_back_to_an_earlier_commit_and_stays_there_until_it_is_unpinned(
    running: Installation, kube: Kube, namespace: str
) -> None:
    app, other = driven(running, kube, namespace, "pinned")
    first = app.sync()["commit"]
    second = app.push({"manifests/pinned.yaml": config_map("pinned", "bad"), "manifests/more.yaml": config_map("more")})
    app.wait("healthy", commit=second)

    app.kas.cli("rollback", app.project, "--agent", app.agent, "--to", first[:8], "--reason", "errors")
    app.wait("healthy", commit=first)
    assert app.value("pinned") == "1"
    wait_until(lambda: app.config_map("more") is None, what="what came with the bad revision is pruned")

    third = app.push({"manifests/pinned.yaml": config_map("pinned", "3")})
    other.goes_on()
    app.kas.kill()
    app.kas.start()
    other.goes_on()
    wait_until(lambda: app.sync()["pin"]["available"] == third, what="the newest revision is shown beside the pin")
    assert app.value("pinned") == "1"
    assert app.sync()["commit"] == first

    app.kas.cli("rollback", app.project, "--agent", app.agent, "--unpin")
    app.wait("healthy", commit=third)
    assert app.value("pinned") == "3"
    history = cli_json(app, "history", app.project)["items"]
    assert [entry["type"] for entry in history].count("pin") == 1
    # The first revision twice: as it was, and as it was gone back to.
    commits = [entry["sync"]["commit"] for entry in history if entry["sync"]]
    assert [commit for commit in commits if commit in {first, second, third}] == [third, first, second, first]


def test_reconcile_puts_right_at_once_and_waits_for_the_end(running: Installation, kube: Kube, namespace: str) -> None:
    app, _ = driven(running, kube, namespace, "reconciled")
    commit = app.sync()["commit"]
    out = app.kas.cli("reconcile", app.project, "--agent", app.agent, "--wait", "--timeout", "60s")
    assert f"project {app.project} @ {commit[:8]} healthy" in out
    assert {item["reason"] for item in cli_json(app, "reconcile")["items"]} == {""}


def test_a_prune_that_waits_is_carried_out_when_exactly_it_is_confirmed(
    running: Installation, kube: Kube, namespace: str
) -> None:
    app, other = driven(running, kube, namespace, "confirmed")
    names = [f"map-{number}" for number in range(12)]
    first = app.push({f"manifests/{name}.yaml": config_map(name) for name in names})
    app.wait("healthy", commit=first)
    second = app.remove(*[f"manifests/{name}.yaml" for name in names])
    app.wait("waiting", commit=second, reason="PruneNeedsConfirmation")

    asked = app.kas.run_cli("confirm-prune", app.project, "--agent", app.agent)
    assert asked.returncode == 1
    assert asked.stderr.count(f"{namespace}/configmap/map-") == 12
    assert all(app.config_map(name) is not None for name in names)

    app.kas.cli("confirm-prune", app.project, "--agent", app.agent, "--yes")
    wait_until(lambda: all(app.config_map(name) is None for name in names), what="what was confirmed is pruned")
    wait_until(lambda: app.sync()["reason"] == "", what="nothing waits any more")
    assert app.value("confirmed") == "1"
    assert other.sync()["state"] == "healthy"
    nothing = app.kas.run_cli("confirm-prune", app.project, "--agent", app.agent, "--yes")
    assert (nothing.returncode, "waits for a confirmation" in nothing.stderr) == (0, True)


def test_a_branch_is_compared_with_the_cluster_field_by_field_and_nothing_is_changed(
    running: Installation, kube: Kube, namespace: str
) -> None:
    app, other = driven(running, kube, namespace, "compared")
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: compared-secret}\nstringData: {password: %s}\n"
    files = {f"manifests/kept-{number}.yaml": config_map(f"kept-{number}") for number in range(3)}
    files |= {"manifests/gone.yaml": config_map("gone"), "manifests/secret.yaml": secret % "old-word"}
    app.wait("healthy", commit=app.push(files))
    nothing = app.kas.run_cli("diff", app.project, "--agent", app.agent)
    assert (nothing.returncode, nothing.stderr) == (0, ""), nothing.stdout

    app.repository.branch("feature")
    app.repository.remove("manifests/gone.yaml")
    branch = app.repository.push_files(
        {
            "manifests/kept-0.yaml": config_map("kept-0", "2"),
            "manifests/new.yaml": config_map("new"),
            "manifests/secret.yaml": secret % "new-word",
        }
    )
    app.repository.checkout("main")
    ran = app.kas.run_cli("diff", app.project, "--agent", app.agent, "--ref", "feature")
    assert ran.returncode == 1, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == f"project {app.project} @ {branch[:8]} (branch feature)"
    assert lines[-1] == "1 created, 2 configured, 1 pruned, 3 unchanged"
    at = lines.index(f"configured {namespace}/configmap/kept-0  manifests/kept-0.yaml")
    assert lines[at + 1 : at + 4] == ["  @ /data/value", '  - "1"', '  + "2"']
    assert f"created {namespace}/configmap/new  manifests/new.yaml" in lines
    assert any(line.startswith(f"pruned {namespace}/configmap/gone") for line in lines)
    assert "/data/password" in ran.stdout
    # Neither as it is written nor as it is encoded.
    for value in ("old-word", "new-word", "b2xkLXdvcmQ", "bmV3LXdvcmQ"):
        assert value not in ran.stdout + ran.stderr

    assert (app.value("kept-0"), app.config_map("new")) == ("1", None)
    assert app.config_map("gone") is not None
    app.goes_on()
    other.goes_on()

    app.repository.branch("broken")
    app.repository.push_files({"manifests/kept-0.yaml": "kind: [\n"})
    app.repository.checkout("main")
    broken = app.kas.run_cli("diff", app.project, "--agent", app.agent, "--ref", "broken")
    assert broken.returncode == 2
    assert "manifests/kept-0.yaml:" in broken.stderr
