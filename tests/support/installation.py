"""A whole installation on loopback, as a user has it: kas, agents, a Git server and a cluster, each a real process.

End-to-end tests, the demo and the benchmarks drive the programs through this, and only through what users have: the
command line, HTTP, Git and the cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.support.paths import ROOT
from tests.support.processes import Process, free_port, start_module
from tests.support.waiting import NotInTimeError, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.support.git_server import GitServer

HOST = "127.0.0.1"
ANSWER_SECONDS = 60
"""How long kas may take for an answer: for ever, as far as tests go, on a machine that does much else."""
WEBHOOK_SECRET = "hook-secret-of-this-installation"


class CommandError(AssertionError):
    """A command of the CLI, or a request, was refused; the text has what was said."""


class Kas:
    """One kas with its own data directory, ports and admin token; it can be stopped, killed and started again."""

    def __init__(
        self, directory: Path, git_template: str, *, settings: str = "", poll_interval: str = "1s", listener: str = ""
    ) -> None:
        """Prepare; nothing runs before ``start``.

        Args:
            directory: for data, configuration and log.
            git_template: where projects are, with ``{project}``.
            settings: more of kas.yaml, top-level keys that are not set here.
            poll_interval: how often refs are looked at without a webhook.
            listener: more of ``agent_listener``, as lines indented by two spaces.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log = directory / "kas.log"
        self.websocket_port, self.grpc_port, self.api_port, self.observability_port = (free_port() for _ in range(4))
        self.api = f"http://{HOST}:{self.api_port}"
        self.observability = f"http://{HOST}:{self.observability_port}"
        self._process: Process | None = None
        secret = directory / "webhook-secret"
        secret.write_text(WEBHOOK_SECRET)
        self.config = directory / "kas.yaml"
        self._base = f"""\
data_dir: {directory / "data"}
agent_listener:
  websocket_address: {HOST}:{self.websocket_port}
  grpc_address: {HOST}:{self.grpc_port}
{listener}api: {{address: "{HOST}:{self.api_port}"}}
observability: {{address: "{HOST}:{self.observability_port}"}}
webhooks: {{gitlab: {{secret_token_file: {secret}}}}}
"""
        git = (
            f'git: {{url_template: "{git_template}", allowed_schemes: [https, http], poll_interval: {poll_interval}}}\n'
        )
        # Most tests are about something else, and call their groups as they like.
        access = "" if "project_access" in settings else 'project_access: {"*": ["*"]}\n'
        git = "" if "\ngit:" in f"\n{settings}" else git
        self.config.write_text(self._base + git + access + settings)

    @property
    def address(self) -> str:
        """What agents are given."""
        return f"ws://{HOST}:{self.websocket_port}"

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, "kas is not running"
        return self._process

    def start(self) -> Self:
        """Start it and wait until it says that it is ready."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start it."""
        self._process = start_module("kas", "serve", "--config", self.config, log=self.log)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        self.process.wait_until(self.ready, what="it is ready")

    @property
    def running(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    @property
    def admin_token(self) -> Path:
        """Where it leaves the first API token."""
        return self.directory / "data" / "admin-token"

    def metric(self, name: str) -> float:
        """Return a metric without labels; -1 while it cannot be read."""
        try:
            with urllib.request.urlopen(f"{self.observability}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
                lines = answer.read().decode().splitlines()
        except OSError:
            return -1
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), -1)

    def ready(self) -> bool:
        """Ask ``/readiness``."""
        try:
            with urllib.request.urlopen(f"{self.observability}/readiness", timeout=5) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        """End it as Kubernetes does, with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process = None

    def kill(self) -> None:
        """End it as a crash does, with SIGKILL."""
        self.process.kill()
        self._process = None

    @property
    def environment(self) -> dict[str, str]:
        """What the command line needs to find this kas."""
        return {"KAS_ADDRESS": self.api, "KAS_TOKEN_FILE": str(self.directory / "data" / "admin-token")}

    def cli(self, *args: str) -> str:
        """Run ``kas …`` and return its standard output."""
        done = self.run_cli(*args)
        if done.returncode != 0:
            raise CommandError(f"kas {' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run_cli(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run ``kas …`` and return what became of it, whatever the exit code."""
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "kas", *args],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """GET a path of the API, such as ``syncs``, quickly: the answer's ``items``, or all of it."""
        text = "&".join(f"{key}={value}" for key, value in query.items())
        token = self.admin_token.read_text().strip()
        url = f"{self.api}/api/v1/{path}?{text}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
            body = json.load(answer)
        return body["items"] if isinstance(body, dict) and "items" in body else body

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """POST to a path of the API, such as ``agents``, and return the answer; many do so before each test."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.api}/api/v1/{path}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.admin_token.read_text().strip()}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise CommandError(f"POST {path}: {error.code} {error.read().decode()}") from error

    def webhook(self, project: str, ref: str = "refs/heads/main") -> None:
        """Tell kas of a push, as GitLab does."""
        body = {
            "object_kind": "push",
            "ref": ref,
            "project": {"path_with_namespace": project, "default_branch": "main"},
        }
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.api}/webhooks/gitlab",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "X-Gitlab-Event": "Push Hook",
                "X-Gitlab-Token": WEBHOOK_SECRET,
            },
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):  # noqa: S310 - loopback
            pass

    def syncs(self, agent: str, **query: str) -> list[dict[str, Any]]:
        """Return the agent's newest syncs, as ``kas get syncs -o json`` has them."""
        items: list[dict[str, Any]] = self.get("syncs", agent=agent, **query)
        return items

    def wait_sync(
        self, agent: str, *, state: str, project: str = "", commit: str = "", reason: str = "", within: float = 60.0
    ) -> dict[str, Any]:
        """Wait until a newest sync of the agent has this state (and commit, and reason), and return it.

        One that is healthy has been applied, so ``applied`` is content with it.
        """
        states = {state, "healthy"} if state == "applied" else {state}

        def found() -> dict[str, Any] | None:
            for sync in self.syncs(agent):
                if (
                    sync["state"] in states
                    and (not project or sync["project"] == project)
                    and (not commit or sync["commit"] == commit)
                    and (not reason or sync["reason"] == reason)
                ):
                    return sync
            return None

        try:
            sync = wait_until(found, what=f"a sync of {agent} is {state} {commit[:8]} {reason}", within=within)
        except NotInTimeError as error:
            there = [(s["project"], s["commit"][:8], s["state"], s["reason"], s["message"]) for s in self.syncs(agent)]
            raise NotInTimeError(f"{error}; there are {there}") from None
        assert sync is not None
        return sync


class Agent:
    """One agentk, registered with a kas; it can be stopped, killed and started again."""

    def __init__(
        self,
        kas: Kas,
        name: str,
        *,
        project: str,
        kubeconfig: Path,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        register: bool = True,
    ) -> None:
        """Register the agent, and prepare to run it.

        Args:
            kas: where it is registered.
            name: the agent's.
            project: its configuration project.
            kubeconfig: of its cluster.
            directory: for token and log.
            environment: added to the process's environment, such as ``POD_NAMESPACE``.
            register: False for an agent that is registered already, of which a second pod runs.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.kas = kas
        self.log = directory / f"agentk-{name}.log"
        self.token_file = directory / f"token-{name}"
        self._kubeconfig = kubeconfig
        self._environment = environment
        self._process: Process | None = None
        if register:
            made = kas.post("agents", {"project": project, "name": name})
            self.token_file.write_text(kas.post(f"agents/{made['id']}/tokens", {})["secret"] + "\n")

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, "agentk is not running"
        return self._process

    def start(self, *args: str, address: str = "", connected: bool = True, token_file: bool = True) -> Self:
        """Start it; with ``connected`` return when kas lists it as connected.

        Without ``token_file`` its environment must have the token.
        """
        self._process = start_module(
            "agentk",
            "run",
            "--kas-address",
            address or self.kas.address,
            *(("--token-file", self.token_file) if token_file else ()),
            "--kubeconfig",
            self._kubeconfig,
            "--observability-address",
            "",
            *args,
            log=self.log,
            env=self._environment,
        )
        if connected:
            self._process.wait_until(self.connected, what="it is connected to kas")
        return self

    def connected(self) -> bool:
        """Ask kas."""
        return any(agent["name"] == self.name and agent["connections"] for agent in self.kas.get("agents"))

    def stop(self) -> None:
        """End it as Kubernetes does, with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process = None

    def kill(self) -> None:
        """End it as a crash does, with SIGKILL."""
        self.process.kill()
        self._process = None


class Installation:
    """A kas and its agents, ended together; made by ``with Installation(...) as installation``."""

    def __init__(self, directory: Path, git: GitServer, kubeconfig: Path, **kas_options: str) -> None:
        self.directory = directory
        self.git = git
        self.kubeconfig = kubeconfig
        self.kas = Kas(directory / "kas", git.template, **kas_options)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self.kas.stop)
        self.kas.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def agent(self, name: str, *, project: str, start: bool = True, kubeconfig: Path | None = None) -> Agent:
        """Register and start an agent, of another cluster than usual if it is named; it ends before kas."""
        directory, kubeconfig = self.directory / "agents", kubeconfig or self.kubeconfig
        agent = Agent(self.kas, name, project=project, kubeconfig=kubeconfig, directory=directory)
        self._stack.callback(agent.stop)
        return agent.start() if start else agent
