"""``make demo`` as a person runs it: what it says, how it ends, and that nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.git_repository import git
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SECONDS = 240.0
TIMELINE = (
    r"agentk started +1 replica live +\d+ ms +-",
    r"git push, 2 replicas +2 replicas live +\d+ ms +\d+ ms",
    r"git push, file deleted +Service pruned +\d+ ms +\d+ ms",
    r"scaled to 5 by hand +2 replicas again +\d+ ms +\d+ ms",
)


@pytest.fixture(autouse=True, scope="module")
def _built(control_plane: Cluster) -> None:
    """Build before the first test, whose limit a cold build would exceed."""
    assert control_plane.url


def environment(directory: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return what the demo gets; everything it starts has the directory's name in its arguments."""
    return {**os.environ, "DEMO_DIRECTORY": str(directory / "demo"), "TMPDIR": str(directory), "KEEP": "", **more}


def running(directory: Path) -> list[str]:
    """Return the commands of the processes whose arguments name the directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # ended meanwhile
        if str(directory) in command:
            found.append(command)
    return found


def test_the_demo_shows_the_main_job_and_ends_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for line in TIMELINE:
        assert re.search(line, done.stdout), done.stdout
    for command in ("kas get agents", "kas get syncs", "kas tree --agent my-agent", "kas agent create"):
        assert f"$ {command}" in done.stdout
    assert "DriftCorrected" in done.stdout
    assert "make demo KEEP=1" in done.stdout
    assert "Warning" not in done.stdout, "a newcomer's first sight is no warning"
    assert "\x1b" not in done.stdout, "colours are for terminals"
    assert running(tmp_path) == []
    assert (tmp_path / "demo" / "kas" / "kas.log").is_file()


@pytest.mark.usefixtures("ready_pods")
def test_kept_running_on_somebodys_cluster_it_follows_their_pushes_and_leaves_nothing_there(
    tmp_path: Path, control_plane: Cluster, kube: Kube
) -> None:
    output = tmp_path / "output"
    chosen = {"KEEP": "1", "USE_KUBECONFIG": "1", "KUBECONFIG": str(control_plane.kubeconfig)}
    with (
        output.open("w") as out,
        subprocess.Popen(
            ["make", "demo"],
            cwd=ROOT,
            env=environment(tmp_path, chosen),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as demo,
    ):
        try:
            wait_until(
                lambda: "Ctrl-C ends it all" in output.read_text() or demo.poll() is not None,
                what="the demo keeps running",
                within=SECONDS,
            )
            said = output.read_text()
            assert demo.poll() is None, said
            namespace = re.search(r"namespace (agentk-demo-\w+), removed at the end", said)
            tree = re.search(r"\$ cd (\S+)", said)
            assert namespace is not None
            assert tree is not None
            for shown in ("KAS_ADDRESS", "KAS_TOKEN_FILE", "KUBECONFIG", "kas.log", "agentk-my-agent.log"):
                assert shown in said
            shell = (
                f". {tmp_path}/demo/env && cd {tree[1]} && sed -i 's/replicas: .*/replicas: 3/' nginx/deployment.yaml"
            )
            subprocess.run(["sh", "-ec", f"{shell} && kas get syncs"], check=True, capture_output=True)
            git("commit", "-am", "Three replicas", cwd=Path(tree[1]))
            git("push", "origin", "main", cwd=Path(tree[1]))
            path = f"/apis/apps/v1/namespaces/{namespace[1]}/deployments/nginx-deployment"
            wait_until(lambda: kube.get(path)["spec"]["replicas"] == 3, what="a person's push has arrived")
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGINT)  # as the terminal does for Ctrl-C

    assert "Everything that was started has ended" in output.read_text()
    assert kube.find(f"/api/v1/namespaces/{namespace[1]}") is None
    assert running(tmp_path) == []


def test_a_failure_says_what_failed_and_shows_the_logs(tmp_path: Path, control_plane: Cluster) -> None:
    """Its kubeconfig leads to a port where nobody listens."""
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(
        Path(control_plane.kubeconfig).read_text().replace(control_plane.url, f"https://127.0.0.1:{free_port()}")
    )

    done = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, {"USE_KUBECONFIG": "1", "KUBECONFIG": str(nobody)}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 2, done.stdout  # make's own code for a command that failed
    assert "The demo failed" in done.stdout
    assert "Connection refused" in done.stdout
    assert running(tmp_path) == []
