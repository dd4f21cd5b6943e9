"""What a person reads: tables and documents of the command line, watches, and the logs of both programs."""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.manifests import config_files, config_map, deployment
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.git_repository import GitRepository
    from tests.support.installation import Installation, Kas
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT = "reader"


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace of one test: all of them push the same."""
    name = f"reading-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def pushed(installation: Installation, namespace: str) -> tuple[GitRepository, str]:
    repository = installation.git.create("group/config")
    files = {
        **config_files(AGENT, namespace),
        "manifests/web.yaml": deployment("read-web"),
        "manifests/settings.yaml": config_map("read-settings"),
    }
    return repository, repository.push_files(files)


def lasting(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out of the API's answers how the agent is connected, and when something was said last."""
    if isinstance(value, dict):
        return {key: lasting(each) for key, each in value.items() if key not in {"agent", "updated_at"}}
    return [lasting(each) for each in value] if isinstance(value, list) else value


@pytest.mark.usefixtures("ready_pods")
def test_tables_and_documents_say_the_same_and_survive_a_restart_of_kas(
    installation: Installation, namespace: str
) -> None:
    kas = installation.kas
    _, commit = pushed(installation, namespace)
    agent = installation.agent(AGENT, project="group/config")
    sync = kas.wait_sync(AGENT, state="healthy", commit=commit)

    agents, syncs, tree = kas.cli("get", "agents"), kas.cli("get", "syncs"), kas.cli("tree", "--agent", AGENT)
    assert agents.splitlines()[1].split()[:3] == [AGENT, "group/config", "connected"]
    assert agents.split()[-1] == "1/1"
    row = [AGENT, "group/config", "default", "branch", commit[:8], "healthy"]
    assert syncs.splitlines()[1].split()[:6] == row
    assert "2 (2 created)" in syncs
    for word in (f"namespace {namespace}", "deployment.apps", "read-web", "read-settings", "created", "current"):
        assert word in tree
    wide = kas.cli("get", "syncs", "-o", "wide")
    assert sync["id"] in wide
    assert "TO-APPLIED" in wide
    assert "Connected" in kas.cli("events")
    assert "Connected" in kas.cli("get", "events", "--agent", AGENT, "--no-headers")
    assert json.loads(kas.cli("get", "syncs", "-o", "json"))["items"] == [sync]
    assert yaml.safe_load(kas.cli("get", "syncs", "-o", "yaml"))["items"][0]["commit"] == commit
    before = [
        json.loads(kas.cli(*words, "-o", "json")) for words in (("get", "syncs", "-a"), ("tree", "--agent", AGENT))
    ]

    applied = agent.log.read_text().count('"msg":"Synced"')
    kas.stop()
    kas.start()
    wait_until(agent.connected, what="the agent is back")

    after = [
        json.loads(kas.cli(*words, "-o", "json")) for words in (("get", "syncs", "-a"), ("tree", "--agent", AGENT))
    ]
    assert lasting(after) == lasting(before)
    assert agent.log.read_text().count('"msg":"Synced"') == applied
    assert kas.run_cli("tree", "--agent", "nobody").returncode == 1
    assert kas.run_cli("get", "syncs", "--state", "perfect").returncode == 2


@contextmanager
def watching(kas: Kas, log: Path, *words: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "kas", *words, "--watch"]
    process = Process("kas", command, log=log, env={**kas.environment, "PYTHONPATH": str(ROOT)})
    try:
        yield process
    finally:
        process.kill()


def test_watches_print_what_a_push_changes(installation: Installation, tmp_path: Path, namespace: str) -> None:
    kas = installation.kas
    repository, commit = pushed(installation, namespace)
    agent = installation.agent(AGENT, project="group/config")
    kas.wait_sync(AGENT, state="applied", commit=commit)
    logs = {name: tmp_path / f"watch-{name}.log" for name in ("syncs", "tree", "agents")}
    with (
        watching(kas, logs["syncs"], "get", "syncs") as syncs,
        watching(kas, logs["tree"], "tree", "--agent", AGENT) as tree,
        watching(kas, logs["agents"], "get", "agents", "-o", "json") as agents,
    ):
        syncs.wait_until(lambda: commit[:8] in logs["syncs"].read_text(), what="the table is shown")
        tree.wait_until(lambda: commit[:8] in logs["tree"].read_text(), what="the tree is shown")
        agents.wait_until(lambda: '"connected"' in logs["agents"].read_text(), what="the agents are shown")

        second = repository.push_files({"manifests/more.yaml": config_map("read-more")})
        kas.webhook("group/config")

        syncs.wait_until(
            # A watch tells the newest state, so that the ones before it may not be seen.
            lambda: any(
                second[:8] in line and "3 (1 created)" in line for line in logs["syncs"].read_text().splitlines()
            ),
            what="the new sync is shown",
        )
        tree.wait_until(lambda: "read-more" in logs["tree"].read_text(), what="the new object is shown")
        assert logs["syncs"].read_text().count("AGENT ") == 1
        agent.stop()
        agents.wait_until(
            lambda: json.loads(logs["agents"].read_text().splitlines()[-1])["object"]["status"] == "disconnected",
            what="the agent's end is shown",
        )
        syncs.send_signal(signal.SIGINT)
        wait_until(lambda: syncs.exit_code is not None, what="Ctrl-C ends the watch")
        assert syncs.exit_code == 130
        assert "Traceback" not in logs["syncs"].read_text()


def test_logs_are_json_lines_with_the_fields_that_operators_of_gitlab_know(
    installation: Installation, namespace: str
) -> None:
    _, commit = pushed(installation, namespace)
    agent = installation.agent(AGENT, project="group/config")
    installation.kas.wait_sync(AGENT, state="applied", commit=commit)

    lines = [json.loads(line) for log in (agent.log, installation.kas.log) for line in log.read_text().splitlines()]
    assert not [line for line in lines if not {"time", "level", "msg", "mod_name"} <= line.keys()]
    assert {line["level"] for line in lines} == {"info"}
    synced = [line for line in lines if line["msg"] == "Synced"]
    for line in synced:
        del line["time"]
    common = {
        "level": "info",
        "msg": "Synced",
        "mod_name": "gitops",
        "project_id": "group/config",
        "commit_id": commit,
    }
    assert sorted(synced, key=lambda line: line["resource_key"]) == [
        common
        | {
            "resource_key": f"/ConfigMap/{namespace}/read-settings",
            "sync_result": "configmap/read-settings created",
        },
        common
        | {
            "resource_key": f"apps/Deployment/{namespace}/read-web",
            "sync_result": "deployment.apps/read-web created",
        },
    ]
    (end,) = [line for line in lines if line["msg"] == "Cluster successfully synced"]
    assert (end["mod_name"], end["project_id"], end["commit_id"]) == ("gitops", "group/config", commit)


@contextmanager
def on_a_terminal(*words: object, **environment: str) -> Iterator[int]:
    """Run a program of ours on a pseudo-terminal and yield the end that a person would see."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
    )
    os.close(terminal)
    try:
        yield screen
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(screen)


def seen(screen: int, words: str, *, within: float = 60.0) -> str:
    """Read the screen until it shows these words, and return all that it showed."""
    shown, deadline = b"", time.monotonic() + within
    while words.encode() not in shown:
        assert time.monotonic() < deadline, f"not on the terminal: {words}; there is {shown!r}"
        if select.select([screen], [], [], 1.0)[0]:
            shown += os.read(screen, 65536)  # EIO: the program has ended
    return shown.decode()


def test_logs_are_readable_lines_on_a_terminal(installation: Installation, namespace: str) -> None:
    kas = installation.kas
    _, commit = pushed(installation, namespace)
    agent = installation.agent(AGENT, project="group/config", start=False)
    connection = ("--kas-address", kas.address, "--token-file", agent.token_file)
    rest = ("--kubeconfig", installation.kubeconfig, "--observability-address", "")
    with on_a_terminal("agentk", "run", *connection, *rest) as screen:
        shown = seen(screen, "Cluster successfully synced")
    assert "\x1b[" in shown
    assert '{"level"' not in shown
    assert "deployment.apps/read-web created" in shown
    assert commit in shown

    kas.stop()
    with on_a_terminal("kas", "serve", "--config", kas.config) as screen:
        shown = seen(screen, "kas is ready")
    assert '{"level"' not in shown
    assert "Listening for agents" in shown
