"""A real API listener on loopback over a real SQLite store, with real sessions and feed; agents are put in by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.feed import Feed
from kas.rpc.sessions import AgentIdentity, Ending, Session, Sessions
from kas.store.store import Store
from kas.web.authentication import ADMIN_ROLE, new_api_token
from kas.web.listener import api_app, listening
from kas.web.metrics import Metrics
from kas.web.webhook_senders import SENDERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kas.store.records import AgentRecord
    from kas.web.registration import DoubtAbout

WEBHOOK_SECRET = "hook-secret"


@dataclass
class Kas:
    """A running API and the parts behind it."""

    address: str
    secret: str
    store: Store
    sessions: Sessions
    feed: Feed
    metrics: Metrics
    http: aiohttp.ClientSession
    poked: list[str] = field(default_factory=list)
    endings: list[tuple[str, Ending]] = field(default_factory=list)
    forgotten_tokens: list[int] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def url(self, path: str) -> str:
        return f"{self.address}/api/v1/{path}"

    async def get(self, path: str, status: int = 200) -> dict[str, object]:
        return await self.call("GET", path, status=status)

    async def call(self, method: str, path: str, body: object = None, status: int = 200) -> dict[str, object]:
        async with self.http.request(method, self.url(path), json=body, headers=self.headers) as response:
            answer: dict[str, object] = await response.json()
            assert response.status == status, answer
            return answer

    def connect(self, agent: AgentRecord, token_id: int, connection_id: str = "c1") -> Session:
        meta = wire.AgentMeta(
            version="0.1.0", pod_namespace="agentk", pod_name="agentk-0", kubernetes_version="v1.36.3", instance_id="i"
        )
        session = Session(
            connection_id=connection_id,
            identity=AgentIdentity(agent.id, agent.name, agent.project, token_id),
            meta=meta,
            connected_at=datetime.now(UTC),
            transport="websocket",
            peer="127.0.0.1",
        )

        def end(ending: Ending) -> None:
            self.endings.append((connection_id, ending))
            self.sessions.remove(connection_id)

        self.sessions.add(session, end)
        return session


@asynccontextmanager
async def running_kas(
    folder: Path, *, webhook_secret: str | None = WEBHOOK_SECRET, doubt_about: DoubtAbout | None = None
) -> AsyncIterator[Kas]:
    secret_files = {}
    if webhook_secret is not None:
        secret_file = folder / "webhook-secret"
        secret_file.write_text(f"{webhook_secret}\n", encoding="utf-8")
        secret_files = {sender.name: secret_file for sender in SENDERS}
    store = await Store.open(f"sqlite:///{folder / 'kas.db'}")
    try:
        secret, token_hash = new_api_token()
        await store.api_tokens.create("admin", ADMIN_ROLE, token_hash)
        poked: list[str] = []
        forgotten: list[int] = []
        sessions, feed, metrics = Sessions(), Feed(), Metrics(CollectorRegistry())
        app = api_app(
            store=store,
            sessions=sessions,
            feed=feed,
            poke=poked.append,
            webhook_secret_files=secret_files,
            token_revoked=forgotten.append,
            metrics=metrics,
            doubt_about=doubt_about,
        )
        async with aiohttp.ClientSession() as http, listening(app, "127.0.0.1", 0) as (host, port):
            yield Kas(
                address=f"http://{host}:{port}",
                secret=secret,
                store=store,
                sessions=sessions,
                feed=feed,
                metrics=metrics,
                http=http,
                poked=poked,
                forgotten_tokens=forgotten,
            )
    finally:
        await store.close()


@pytest.fixture
async def kas(tmp_path: Path) -> AsyncIterator[Kas]:
    async with running_kas(tmp_path) as running:
        yield running
