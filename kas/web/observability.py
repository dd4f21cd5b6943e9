"""The observability listener: alive, ready, and what Prometheus reads. Open to everyone who reaches it; tells no names.

Its own port, so that it can be kept inside the cluster while the API is not.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from kas.store.errors import StoreUnavailable
from kas.web.middleware import at_the_door, counting, limited, refusing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from kas.doorkeeper import Door
    from kas.store.records import SyncState
    from kas.store.store import Store
    from kas.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well for kas to be ready. ``message`` says what is wrong, or is empty."""

    name: str
    ok: bool
    message: str = ""


class Readiness(Protocol):
    """Looks at everything that must be well. Quick: a probe waits a second or so."""

    async def __call__(self) -> Sequence[Check]:
        """Return every check, the failed ones too."""


def syncs_by_state(store: Store) -> Callable[[], Awaitable[Mapping[SyncState, int]]]:
    """Return what counts the newest syncs of everything by state."""

    async def count() -> Mapping[SyncState, int]:
        return Counter(sync.state for sync in await store.syncs.list(limit=100_000))

    return count


def observability_app(
    *,
    metrics: Metrics,
    readiness: Readiness,
    count_syncs: Callable[[], Awaitable[Mapping[SyncState, int]]],
    door: Door | None = None,
) -> web.Application:
    """Make the application of the observability listener."""

    async def liveness(_: web.Request) -> web.Response:
        # That the event loop came here is all there is to know: what fails otherwise is for readiness to say.
        return web.json_response({"status": "alive"})

    async def ready(_: web.Request) -> web.Response:
        checks = await readiness()
        well = all(check.ok for check in checks)
        body = {
            "status": "ready" if well else "not ready",
            "checks": [{"name": check.name, "ok": check.ok, "message": check.message} for check in checks],
        }
        return web.json_response(body, status=HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)

    async def read_metrics(request: web.Request) -> web.Response:
        with suppress(StoreUnavailable):  # the last known numbers, then; readiness tells, and the rest is worth reading
            metrics.set_syncs(await count_syncs())
        body, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    at_door = [at_the_door(door)] if door is not None else []
    app = web.Application(
        middlewares=[*at_door, counting(metrics, "observability"), refusing(), limited()], client_max_size=1024
    )
    app.add_routes([web.get("/liveness", liveness), web.get("/readiness", ready), web.get("/metrics", read_metrics)])
    return app
