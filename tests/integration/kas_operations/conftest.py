"""kas' parts put together as kas.app does, over real Git, SQL, gRPC and HTTP; the agents' ends are played by tests."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from agentk.gitops.receive import Accompanied, Ordered, Received, Receiver
from agentlink.manifests.model import Limits
from agentlink.v1 import agentlink_pb2 as wire
from kas.git.mirrors import Mirrors
from kas.git.watcher import RefWatcher
from kas.gitops.commands import LocalCommands
from kas.gitops.holds import HoldBoard
from kas.gitops.operating import Operator
from kas.gitops.publisher import Publisher
from kas.reports.feed import Feed
from kas.reports.session_events import SessionEvents
from kas.reports.sink import ReportSink
from kas.reports.sync_id import SyncIds
from kas.reports.sync_log import SyncLog
from kas.rpc.auth import new_agent_token
from kas.rpc.listener import AgentListener, ListenerSettings
from kas.store.store import Store
from kas.web import watch
from kas.web.authentication import new_api_token
from kas.web.listener import api_app, listening
from kas.web.metrics import Metrics
from tests.integration.kas_git.git_helpers import settings_for
from tests.support.agent_link import agent
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agentk.apply.model import Snapshot
    from agentk.gitops.link import Link
    from kas.store.records import AgentRecord, SyncRecord
    from tests.support.git_repository import GitRepository
    from tests.support.git_server import GitServer

CONFIG, APP, NAME = "group/config", "group/app", "my-agent"

Answer = list[wire.AnswerRequest]


@dataclass(frozen=True)
class Ran:
    """What a command wrote and ended with."""

    code: int
    out: str
    err: str


@dataclass
class Played:
    """One replica of an agent: what it was sent, and what it answers."""

    answers: Callable[[wire.Command], Answer]
    receiver: Receiver = field(default_factory=Receiver)
    configurations: list[wire.Configuration] = field(default_factory=list)
    received: list[Snapshot] = field(default_factory=list)
    commands: list[wire.Command] = field(default_factory=list)
    accompanied: list[Snapshot] = field(default_factory=list)
    messages: list[wire.KasMessage] = field(default_factory=list)
    delivered: list[bool] = field(default_factory=list)
    link: Link | None = None

    async def consume(self, message: wire.KasMessage) -> None:
        self.messages.append(message)
        if message.WhichOneof("message") == "configuration":
            self.configurations.append(message.configuration)
        match self.receiver.feed(message):
            case Received(snapshot):
                self.received.append(snapshot)
            case Ordered(command):
                self.commands.append(command)
                if command.WhichOneof("command") != "diff":
                    await self._answer(command)
            case Accompanied(command_id, snapshot):
                self.accompanied.append(snapshot)
                await self._answer(next(one for one in self.commands if one.id == command_id))
            case _:
                pass

    async def _answer(self, command: wire.Command) -> None:
        assert self.link is not None
        for part in self.answers(command):
            part.command_id = command.id
            self.delivered.append(await self.link.answer(part, within=60))

    @property
    def commit(self) -> str:
        """The revision that it was told to have last."""
        return self.received[-1].commit if self.received else ""

    @property
    def suspension(self) -> wire.Suspension | None:
        """What its first project is told of being suspended."""
        project = self.configurations[-1].projects[0]
        return project.suspension if project.HasField("suspension") else None


@dataclass
class Kas:
    """A running kas and what the tests look at and do."""

    address: str
    secret: str
    store: Store
    publisher: Publisher
    watcher: RefWatcher
    listener: AgentListener
    http: aiohttp.ClientSession
    repository: GitRepository
    config: GitRepository
    agent: AgentRecord
    agent_secret: str
    commands: LocalCommands

    @asynccontextmanager
    async def played(
        self, answers: Callable[[wire.Command], Answer] | None = None, *, instance: str = "one"
    ) -> AsyncIterator[Played]:
        """Connect a replica; give it when it has its configuration."""
        played = Played(answers or (lambda _: [wire.AnswerRequest(done=True)]))
        url = f"grpc://localhost:{self.listener.grpc_port}"
        async with agent(url, self.agent_secret, instance_id=instance, consume=played.consume) as running:
            played.link = running.link
            await eventually(lambda: bool(played.configurations), what="the configuration")
            yield played

    async def token(self, role: str, project: str = "") -> str:
        """Make an API token."""
        secret, token_hash = new_api_token()
        await self.store.api_tokens.create(f"a {role}", role, token_hash, project=project)
        return secret

    async def call(
        self, method: str, path: str, body: object = None, *, secret: str = "", status: int = 200
    ) -> dict[str, Any]:
        """Ask the API."""
        headers = {"Authorization": f"Bearer {secret or self.secret}"}
        async with self.http.request(method, f"{self.address}/api/v1/{path}", json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == status, answer
            return answer

    async def cli(self, *arguments: str, secret: str = "") -> Ran:
        """Run a command without a terminal."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("KAS_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kas"),
            *arguments,
            env={**kept, "KAS_ADDRESS": self.address, "KAS_TOKEN": secret or self.secret},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def cli_on_terminal(self, *arguments: str, typed: str = "", secret: str = "") -> Ran:
        """Run a command on a terminal, where somebody types; both of its streams come back as one."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("KAS_", "NO_COLOR"))}
        ours, theirs = pty.openpty()
        try:
            os.write(ours, typed.encode())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kas"),
                *arguments,
                env={**kept, "KAS_ADDRESS": self.address, "KAS_TOKEN": secret or self.secret, "TERM": "xterm"},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
            async with asyncio.timeout(60):
                code = await process.wait()
            return Ran(code, os.read(ours, 1 << 16).decode(), "")
        finally:
            os.close(ours)
            os.close(theirs)

    async def cli_json(self, *arguments: str) -> Any:  # noqa: ANN401 -- JSON
        """Run a command that succeeds and return what it wrote."""
        ran = await self.cli(*arguments, "-o", "json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    def push(self, value: str, *, message: str = "Change") -> str:
        """Push another revision of the application, and have kas look."""
        commit = self.repository.push_files({"manifests/app.yaml": config_map("app", value)}, message)
        self.watcher.poke(APP)
        return commit

    async def synced(self, commit: str) -> SyncRecord:
        """Wait until kas has noted that a revision went to the agent."""

        async def found() -> SyncRecord | None:
            syncs = await self.store.syncs.list(self.agent.id, limit=10)
            return next((sync for sync in syncs if (sync.commit, sync.project) == (commit, APP)), None)

        there = await eventually(found, what=f"{commit[:8]} is noted")
        assert there is not None
        return there


@asynccontextmanager
async def running(tmp_path: Path, git: GitServer) -> AsyncIterator[Kas]:
    """Run everything, with one registered agent and its two projects."""
    repository, config = git.create(APP), git.create(CONFIG)
    repository.push_files({"manifests/app.yaml": config_map("app", "1")}, "First")
    config.push_files(config_files(NAME, "demo", APP))
    async with AsyncExitStack() as stack:
        store = await Store.open(f"sqlite:///{tmp_path}/kas.db")
        stack.push_async_callback(store.close)
        mirrors = Mirrors(settings_for(git.template), tmp_path / "data")
        stack.push_async_callback(mirrors.close)
        feed, commands, holds = Feed(), LocalCommands(), HoldBoard(store.holds)
        watcher, ids = RefWatcher(mirrors, poll_interval=60), SyncIds(b"key")
        publisher = Publisher(
            watcher=watcher,
            mirrors=mirrors,
            store=store,
            sync_log=SyncLog(store, feed),
            sync_ids=ids,
            limits=Limits(),
            commands=commands,
            holds=holds,
        )
        events, metrics = SessionEvents(store, feed), Metrics(CollectorRegistry())
        listener = AgentListener(
            ListenerSettings(websocket_port=0, grpc_port=0),
            tokens=store.tokens,
            publisher=publisher,
            sink=ReportSink(store, feed, ids),
            observer=events,
            answers=commands,
        )
        app = api_app(
            store=store,
            sessions=listener.sessions,
            feed=feed,
            poke=watcher.poke,
            webhook_secret_files={},
            token_revoked=listener.token_revoked,
            metrics=metrics,
            operator=Operator(publisher, commands),
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for background in (watcher.run(), events.run()):
            stack.callback(tasks.create_task(background).cancel)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        host, port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        await stack.enter_async_context(listener.listening())
        record = await store.agents.create(CONFIG, NAME)
        agent_secret, token_hash = new_agent_token()
        await store.tokens.create(record.id, "t", "", token_hash)
        secret, token_hash = new_api_token()
        await store.api_tokens.create("alice", "admin", token_hash)
        yield Kas(
            address=f"http://{host}:{port}",
            secret=secret,
            store=store,
            publisher=publisher,
            watcher=watcher,
            listener=listener,
            http=http,
            repository=repository,
            config=config,
            agent=record,
            agent_secret=agent_secret,
            commands=commands,
        )


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have watches read anew ten times a second: a report that a test puts straight into the store wakes none."""
    monkeypatch.setattr(watch, "HEARTBEAT_SECONDS", 0.1)


@pytest.fixture
async def kas(tmp_path: Path, git_server: GitServer) -> AsyncIterator[Kas]:
    async with running(tmp_path, git_server) as found:
        yield found
