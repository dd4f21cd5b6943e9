"""``agentk apply`` as its users run it, on a real API server."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.manifests import config_map

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

SECONDS = 60

BROKEN = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: broken}
spec: {replicas: many}
"""

NEVER_READY = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {nodeSelector: {there: is-none}, containers: [{name: web, image: web}]}
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """Runs the command in one namespace."""

    def __init__(self, cluster: Cluster, kube: Kube, namespace: str, directory: Path) -> None:
        self._always = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace]
        self.kube = kube
        self.namespace = namespace
        self.directory = directory

    def write(self, **files: str) -> None:
        """Make the directory hold exactly these manifests."""
        for old in self.directory.iterdir():
            old.unlink()
        for name, text in files.items():
            (self.directory / f"{name}.yaml").write_text(text, encoding="utf-8")

    def argv(self, *options: str, source: str = "") -> list[str]:
        return [sys.executable, "-m", "agentk", "apply", *self._always, *options, source or str(self.directory)]

    def __call__(self, *options: str, stdin: str = "", source: str = "") -> Ended:
        argv = self.argv(*options, source=source)
        ended = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def names(self) -> set[str]:
        """Return the ConfigMaps that manifests brought."""
        found = self.kube.get(f"/api/v1/namespaces/{self.namespace}/configmaps", labelSelector="agentk.io/agent")
        return {item["metadata"]["name"] for item in found["items"]}


@pytest.fixture
def apply(control_plane: Cluster, kube: Kube, tmp_path: Path, request: pytest.FixtureRequest) -> Command:
    name = f"apply-{abs(hash(request.node.name)) % 10**8}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    request.addfinalizer(lambda: kube.delete(f"/api/v1/namespaces/{name}"))  # noqa: PT021 - short as it is
    return Command(control_plane, kube, name, tmp_path)


def test_each_object_has_a_line_and_a_second_run_changes_nothing(apply: Command) -> None:
    apply.write(a=config_map("one"), b=config_map("two"))
    first = apply("--wait")
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1] == "2 created"
    assert f"{apply.namespace}/configmap/one created" in first.out.splitlines()
    again = apply("--wait")
    assert (again.code, again.out.splitlines()[-1]) == (0, "2 unchanged")


def test_what_left_the_manifests_is_pruned_from_the_named_inventory_alone(apply: Command) -> None:
    apply.write(a=config_map("other"))
    assert apply("--inventory", "other").code == 0
    apply.write(a=config_map("one"), b=config_map("two"))
    assert apply("--inventory", "web").code == 0
    apply.write(a=config_map("one"))
    kept = apply("--inventory", "web")
    assert kept.code == 0
    assert kept.out.splitlines()[-1].startswith("1 of the inventory's objects are no longer in the manifests")
    assert apply.names() == {"one", "two", "other"}
    assert apply("--inventory", "web", "--prune").code == 0
    assert apply.names() == {"one", "other"}


def test_an_object_of_another_inventory_is_refused(apply: Command) -> None:
    apply.write(a=config_map("one"))
    assert apply("--inventory", "first").code == 0
    second = apply("--inventory", "second")
    assert second.code == 1
    assert "belongs to inventory cli-first-" in second.out
    assert apply("--inventory", "second", "--adopt", "adopt_all").code == 0


def test_a_prune_that_deletes_most_of_it_asks_for_yes(apply: Command) -> None:
    apply.write(**{f"m{number}": config_map(f"m{number}") for number in range(12)})
    assert apply("--inventory", "web").code == 0
    apply.write(m0=config_map("m0"))
    asked = apply("--inventory", "web", "--prune")
    assert asked.code == 1
    assert "--yes" in asked.out
    assert len(apply.names()) == 12
    assert apply("--inventory", "web", "--prune", "--yes").code == 0
    assert apply.names() == {"m0"}


def test_an_object_that_the_server_refuses_fails_and_the_others_are_applied(apply: Command) -> None:
    apply.write(a=config_map("one"), b=BROKEN)
    ended = apply()
    assert ended.code == 1
    assert apply.names() == {"one"}
    (line,) = [line for line in ended.out.splitlines() if " failed" in line and "deployment" in line]
    assert line.startswith(f"{apply.directory}/b.yaml: ")


def test_what_cannot_be_changed_in_place_is_an_error_or_recreated_on_request(apply: Command) -> None:
    apply.write(a=NEVER_READY)
    assert apply().code == 0
    apply.write(a=NEVER_READY.replace("app: web}", "app: other}"))
    refused = apply()
    assert (refused.code, "agentk apply: --recreate" in refused.out) == (1, True), refused
    done = apply("--recreate")
    assert done.code == 0, done
    path = f"/apis/apps/v1/namespaces/{apply.namespace}/deployments/web"
    assert apply.kube.get(path)["spec"]["selector"]["matchLabels"] == {"app": "other"}


def test_what_somebody_deleted_is_nothing_to_tell(apply: Command) -> None:
    apply.write(a=config_map("a"), b=config_map("b"))
    assert apply("--inventory", "web").code == 0
    apply.kube.delete(f"/api/v1/namespaces/{apply.namespace}/configmaps/b")
    apply.write(a=config_map("a"))
    told = apply("--prune", "--inventory", "web")
    assert (told.code, told.out.splitlines()) == (0, [f"{apply.namespace}/configmap/a unchanged", "1 unchanged"])


def test_waiting_ends_with_what_is_not_healthy(apply: Command) -> None:
    apply.write(a=NEVER_READY)
    ended = apply("--wait", "--timeout", "1s")
    assert ended.code == 1
    assert "not healthy after 1 s" in ended.out
    assert f"{apply.namespace}/deployment.apps/web" in ended.out


def test_a_dry_run_changes_nothing(apply: Command) -> None:
    apply.write(a=config_map("one"))
    ended = apply("--dry-run", "server")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "1 created")
    assert apply.names() == set()


def test_manifests_may_come_from_a_pipe_and_the_answer_be_json(apply: Command) -> None:
    ended = apply("-o", "json", stdin=config_map("piped"), source="-")
    document = json.loads(ended.out)
    assert (ended.code, document["ok"]) == (0, True)
    (one,) = document["objects"]
    assert (one["name"], one["result"], one["path"]) == ("piped", "created", "stdin")


def test_manifests_that_cannot_be_read_are_wrong_usage(apply: Command) -> None:
    apply.write(a=config_map("one"), b="kind: [")
    ended = apply()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"Error: {apply.directory}/b.yaml:")
    assert apply.names() == set()


def test_a_prune_without_a_named_inventory_is_wrong_usage(apply: Command) -> None:
    apply.write(a=config_map("one"))
    ended = apply("--prune")
    assert ended.code == 2
    assert "--inventory" in ended.err


def test_a_cluster_that_is_not_there_is_said(apply: Command, tmp_path_factory: pytest.TempPathFactory) -> None:
    apply.write(a=config_map("one"))
    ended = apply("--kubeconfig", str(tmp_path_factory.mktemp("none") / "kubeconfig"))
    assert ended.code == 1
    assert ended.err.startswith("Error: kubernetes: ")


def test_a_terminal_gets_a_bar_and_lines_for_trouble_only(apply: Command) -> None:
    apply.write(a=config_map("one"), b=BROKEN)
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    try:
        ended = subprocess.run(apply.argv(), stdout=terminal, timeout=SECONDS, check=False, env=environment)
    finally:
        os.close(terminal)
    shown = bytearray()
    try:
        while part := os.read(controller, 1 << 16):
            shown += part
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    finally:
        os.close(controller)
    text = shown.decode()
    assert ended.returncode == 1
    assert "2/2" in text
    assert "deployment.apps/broken failed" in text
    assert "configmap/one" not in text
