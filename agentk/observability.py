"""agentk's own health over HTTP: ``/liveness``, ``/readiness`` and ``/metrics``. Tells no names of objects."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentk.gitops.link import Link
    from agentk.leadership.leadership import Leadership


@asynccontextmanager
async def observability(link: Link, leadership: Leadership, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts; give the port.

    Ready means connected to kas, and leading or able to: a replica that stands by is ready, so that an update may go
    on. Not being connected is no reason to restart, so liveness stays good: objects already applied are still watched
    and drift still put back.

    Raises:
        OSError: the address cannot be listened at.
    """
    registry = CollectorRegistry()
    connected = Gauge("agentk_connected", "1 while there is a connection to kas.", registry=registry)
    connected.set_function(lambda: float(link.state.connected_since is not None))
    leading = Gauge("agentk_leading", "1 while this replica is the one that writes.", registry=registry)
    leading.set_function(lambda: float(leadership.leading))

    async def liveness(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readiness(_: web.Request) -> web.Response:
        state, trouble = link.state, leadership.trouble
        body: dict[str, object] = {"leading": leadership.leading, "leader": leadership.leader}
        if state.connected_since is not None and trouble is None:
            return web.json_response({"status": "ready", "connected_since": state.connected_since.isoformat(), **body})
        message = state.last_error if trouble is None or state.connected_since is None else trouble.message
        body = {"status": "not ready", "message": message, **body}
        return web.json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=1024)
    app.add_routes([web.get("/liveness", liveness), web.get("/readiness", readiness), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
