"""Puts the API together, and starts and stops HTTP listeners."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from kas.web.answers import PREFIX
from kas.web.api import Api
from kas.web.api_access import AccessApi
from kas.web.api_operations import OperationsApi
from kas.web.authentication import ApiAuthentication
from kas.web.graphql.explorer import OPEN_ROUTES, Explorer
from kas.web.graphql.lazily import GraphQL
from kas.web.guard import Guard
from kas.web.install import Install, InstallDefaults
from kas.web.middleware import (
    HANDLING_TIMEOUT,
    at_the_door,
    authenticated,
    bearer_of,
    counting,
    limited,
    peer_of,
    refusing,
    without_parameters,
)
from kas.web.openapi import OPENAPI, OpenApi
from kas.web.operations import Operations
from kas.web.reader import Reader
from kas.web.registration import Registration
from kas.web.watch import Watching
from kas.web.webhooks import WEBHOOKS, Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path
    from ssl import SSLContext

    from kas.doorkeeper import Door
    from kas.gitops.operating import Operator
    from kas.reports.feed import Feed
    from kas.store.store import Store
    from kas.web.connected import Connected
    from kas.web.metrics import Metrics
    from kas.web.registration import DoubtAbout
    from kas.web.webhooks import Poke

MAX_BODY = 64 * 1024
"""Bytes of a request to the API; the webhook has its own limit."""

REQUEST_SECONDS = HANDLING_TIMEOUT + 10.0
"""How long a connection of somebody unknown may be without a new request: longer than any of theirs may take."""

_IDLE_SECONDS = 75.0
"""An open connection without a request is closed then."""

_STOP_SECONDS = 5.0


def api_app(
    *,
    store: Store,
    sessions: Connected,
    feed: Feed,
    poke: Poke,
    webhook_secret_files: Mapping[str, Path],
    token_revoked: Callable[[int], None],
    metrics: Metrics,
    install: InstallDefaults | None = None,
    doubt_about: DoubtAbout | None = None,
    operator: Operator | None = None,
    door: Door | None = None,
) -> web.Application:
    """Make the application of the API listener.

    Args:
        store: what kas keeps.
        sessions: who is connected.
        feed: tells watches when something that is stored has changed.
        poke: looks at a project's refs at once (``kas.git.watcher.RefWatcher.poke``).
        webhook_secret_files: by who sends webhooks, such as ``gitlab``, the file with the secret; others are refused.
        token_revoked: told the id of each agent token that was revoked (``kas.rpc.auth.Authenticator.revoke``).
        metrics: counts.
        doubt_about: tells why a project cannot be reached, empty where it can (``kas.git.reach.doubt_about``).
        operator: carries out what people order of agents; None takes no orders.
        install: what the manifests that install agentk begin with; nothing is set otherwise.
        door: told of those who have shown a good token.
    """
    authentication = ApiAuthentication(store)
    reader = Reader(store, sessions)
    registration = Registration(store, sessions, token_revoked, doubt_about)

    async def still_allowed(request: web.Request) -> bool:
        secret = bearer_of(request)
        return secret is not None and await authentication.recognise(secret, peer_of(request)) is not None

    watching = Watching(feed=feed, glance=reader.connections, still_allowed=still_allowed, metrics=metrics)
    api = Api(reader=reader, watching=watching, registration=registration)
    webhooks = Webhooks(secret_files=webhook_secret_files, poke=poke, metrics=metrics)
    app = web.Application(
        middlewares=[
            *([at_the_door(door)] if door is not None else []),
            counting(metrics, "api"),
            refusing(),
            limited(),
            authenticated(authentication, open_routes={*WEBHOOKS, *OPEN_ROUTES, OPENAPI}, door=door),
            without_parameters(PREFIX),
        ],
        client_max_size=MAX_BODY,
    )
    graphql = GraphQL(store=store, sessions=sessions, registration=registration)
    access = AccessApi(store=store, registration=registration, watching=watching)
    app.add_routes([*api.routes(), *access.routes(), *graphql.routes(), *Explorer().routes(), *webhooks.routes()])

    app.add_routes(OpenApi().routes())
    app.add_routes(Install(registration=registration, defaults=install or InstallDefaults()).routes())

    if operator is not None:
        operations = Operations(store=store, guard=Guard(store), operator=operator, reader=reader, feed=feed)
        orders = OperationsApi(operations=operations, reader=reader, operator=operator, still_allowed=still_allowed)
        app.add_routes(orders.routes())

    async def end_watches(_: web.Application) -> None:
        watching.stopping.set()

    app.on_shutdown.append(end_watches)
    return app


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, tls: SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve an application as long as the block runs; give the address it listens at.

    At the end no new connection is taken, watches are told, and requests have a few seconds to come to theirs.

    Args:
        app: what to serve.
        host: an address of this machine; empty for all.
        port: 0 for any free one.
        tls: certificates, None for plain HTTP.

    Raises:
        OSError: the address cannot be listened at.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=_IDLE_SECONDS,
        shutdown_timeout=_STOP_SECONDS,
        max_line_size=16 * 1024,
        max_field_size=16 * 1024,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host or None, port, ssl_context=tls, reuse_address=True)
        await site.start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield str(bound_host), int(bound_port)
    finally:
        await runner.cleanup()
