"""How agents reach kas: four schemes, TLS, tokens from where operators keep them, and words for every wrong turn."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Agent, Installation
from tests.support.manifests import config_files, config_map
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_repository import GitRepository
    from tests.support.git_server import GitServer
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``server.crt`` and ``server.key`` for localhost, and the authority's ``ca.crt``."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=our authority")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\n")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
    openssl("x509", "-req", "-in", "server.csr", *signing, "-days", "2", "-out", "server.crt")
    return folder


@pytest.fixture
def with_tls(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, certificates: Path
) -> Iterator[Installation]:
    listener = f"  certificate_file: {certificates / 'server.crt'}\n  key_file: {certificates / 'server.key'}\n"
    with Installation(tmp_path, git_server, control_plane.kubeconfig, listener=listener) as running:
        yield running


def project_of(installation: Installation, namespace: str, *agents: str) -> GitRepository:
    repository = installation.git.create("group/config")
    for agent in agents:
        repository.write(config_files(agent, namespace, glob=f"/{agent}/*.yaml"))
        repository.write({f"{agent}/settings.yaml": config_map(f"{agent}-settings")})
    repository.commit()
    repository.push()
    return repository


def transports(installation: Installation) -> dict[str, str]:
    agents = installation.kas.get("agents")
    return {agent["name"]: each["transport"] for agent in agents for each in agent["connections"]}


def attempt(installation: Installation, agent: Agent, address: str, *words: str) -> None:
    """Start an agent that cannot connect, and wait until its log says why."""
    agent.log.unlink(missing_ok=True)
    agent.start(address=address, connected=False)
    try:
        agent.process.wait_until(
            lambda: all(word in agent.log.read_text() for word in words),
            what=f"{address} is refused with {words}",
        )
        assert "Traceback" not in agent.log.read_text()
        assert not agent.connected()
    finally:
        agent.stop()
    assert agent.token_file.read_text().strip() not in agent.log.read_text() + installation.kas.log.read_text()


def test_agents_sync_by_websockets_and_by_grpc(installation: Installation, kube: Kube, namespace: str) -> None:
    kas = installation.kas
    repository = project_of(installation, namespace, "plain-ws", "plain-grpc")
    for name, address in (
        ("plain-ws", f"ws://localhost:{kas.websocket_port}"),
        ("plain-grpc", f"grpc://localhost:{kas.grpc_port}"),
    ):
        installation.agent(name, project="group/config", start=False).start(address=address)
        kas.wait_sync(name, state="healthy")

    assert transports(installation) == {"plain-ws": "websocket", "plain-grpc": "grpc"}
    commit = repository.push_removal("plain-ws/settings.yaml", "plain-grpc/settings.yaml")
    for name in ("plain-ws", "plain-grpc"):
        kas.wait_sync(name, state="failed", commit=commit, reason="EmptySelection")
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}-settings")


def test_agents_sync_through_tls_and_trust_only_whom_they_are_told_to(
    with_tls: Installation, certificates: Path, namespace: str
) -> None:
    kas = with_tls.kas
    project_of(with_tls, namespace, "tls-wss", "tls-grpcs")
    addresses = {
        "tls-wss": f"wss://localhost:{kas.websocket_port}",
        "tls-grpcs": f"grpcs://localhost:{kas.grpc_port}",
    }
    for name, address in addresses.items():
        agent = with_tls.agent(name, project="group/config", start=False)
        attempt(with_tls, agent, address, "not trusted", "--ca-cert-file")
        agent.start("--ca-cert-file", str(certificates / "ca.crt"), address=address)
        kas.wait_sync(name, state="healthy")
    assert transports(with_tls) == {"tls-wss": "websocket", "tls-grpcs": "grpc"}


def test_what_stands_in_the_way_of_a_connection_is_said_with_its_remedy(installation: Installation) -> None:
    kas = installation.kas
    agent = installation.agent("lost", project="group/config", start=False)

    # Every other mistake: tests/integration/kas_rpc/test_link_to_listener.py, without a program for each.
    attempt(installation, agent, f"wss://localhost:{kas.websocket_port}", "that port takes ws:// (without TLS)")
    attempt(installation, agent, f"ws://localhost:{kas.api_port}", "answered with HTTP status 404", "no agent listener")
    attempt(installation, agent, f"ws://localhost:{free_port()}", "nothing listens on that port")
    agent.token_file.write_text("glagent-nobody-has-this-one")
    attempt(installation, agent, kas.address, "kas refuses this agent")


def test_the_token_may_come_from_the_environment(installation: Installation, namespace: str) -> None:
    kas = installation.kas
    project_of(installation, namespace, "by-environment")
    kas.cli("agent", "create", "--project", "group/config", "--name", "by-environment")
    token = kas.cli("token", "create", "--agent", "by-environment").strip()
    agent = Agent(
        kas,
        "by-environment",
        project="group/config",
        kubeconfig=installation.kubeconfig,
        directory=installation.directory / "agents",
        environment={"AGENTK_TOKEN": token},
        register=False,
    )
    try:
        agent.start(token_file=False)
        kas.wait_sync("by-environment", state="healthy")
    finally:
        agent.stop()


def test_both_programs_end_on_sigterm_with_everything_reported(installation: Installation, namespace: str) -> None:
    kas = installation.kas
    repository = project_of(installation, namespace, "ending")
    agent = installation.agent("ending", project="group/config")
    kas.wait_sync("ending", state="healthy")

    files = {f"ending/{number}.yaml": config_map(f"ending-{number}") for number in range(30)}
    commit = repository.push_files(files)
    kas.webhook("group/config")
    wait_until(lambda: agent.log.read_text().count("Cluster successfully synced") >= 2, what="the second sync is over")
    process = agent.process
    process.terminate()

    # No waiting: what the agent had to say was stored before it ended.
    assert process.exit_code == 0
    (sync,) = kas.syncs("ending")
    assert (sync["commit"], sync["state"], sync["counts"]["created"]) == (commit, "healthy", 30)
    assert not agent.connected()
    process = kas.process
    process.terminate()
    assert process.exit_code == 0
    for log in (agent.log, kas.log):
        assert "Traceback" not in log.read_text()
        assert '"level":"error"' not in log.read_text()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "AGENTK_TOKEN": "", **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("kas.example.com", "has no scheme: write wss://kas.example.com"),
        ("https://kas.example.com", "use wss://kas.example.com"),
        ("ws://127.0.0.1:8153", "kas' API port"),
        ("grpcs://kas.example.com/path", "has a path, which gRPC does not have"),
        ("wss://token@kas.example.com", "goes into --token-file"),
    ],
)
def test_a_wrong_address_is_refused_at_once_with_the_right_one(address: str, words: str) -> None:
    ended = run("agentk", "run", "--kas-address", address)

    assert ended.returncode == 2
    assert words in " ".join(ended.stderr.split())
    assert "token@" not in ended.stderr


def test_a_missing_token_is_said_at_once(tmp_path: Path) -> None:
    nowhere = run("agentk", "run", "--kas-address", "ws://localhost:8150")
    no_file = run("agentk", "run", "--kas-address", "ws://localhost:8150", "--token-file", str(tmp_path / "none"))

    assert (nowhere.returncode, no_file.returncode) == (1, 1)
    assert "AGENTK_TOKEN" in nowhere.stderr
    assert str(tmp_path / "none") in no_file.stderr
    assert "Traceback" not in nowhere.stderr + no_file.stderr
