"""What kas tells Prometheus of itself.

One object with a method for each thing that happens, so that other rooms need not know the library. Every label has a
small fixed set of values: none is a name, version or path that a client, an agent or a repository chose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from kas.replicas.refusals import REASONS
from kas.store.records import SyncState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0)

WEBHOOK_RESULTS = ("accepted", "ignored", "forbidden", "malformed", "too_large")
REPORT_RESULTS = ("stored", "repeated", "failed", "refused")


class Metrics:
    """The metrics of one kas, in the registry that is passed in (a test's own, or the process's)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._agents = Gauge(
            "kas_connected_agents", "Agents with at least one live connection to this kas.", registry=registry
        )
        self._everywhere = Gauge(
            "kas_connected_agents_everywhere",
            "Agents with at least one live connection to any replica, as this one knows.",
            registry=registry,
        )
        self._replicas = Gauge(
            "kas_replicas", "Replicas that this one knows to be there, itself too.", registry=registry
        )
        self._syncs = Gauge(
            "kas_syncs", "Newest sync of every project of every agent, by state.", ["state"], registry=registry
        )
        self._reports = Counter(
            "kas_report_batches", "Batches of reports that agents sent, by result.", ["result"], registry=registry
        )
        self._webhooks = Counter(
            "kas_webhook_requests", "Webhook requests received, by result.", ["result"], registry=registry
        )
        self._redis_refused = Counter(
            "kas_redis_refused",
            "What came by Redis and was not listened to, by reason.",
            ["reason"],
            registry=registry,
        )
        self._requests = Counter(
            "kas_http_requests",
            "HTTP requests answered; a route is a pattern.",
            ["listener", "method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "kas_http_request_seconds",
            "Seconds until an HTTP request was answered; watches are left out.",
            ["listener", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._watches = Gauge("kas_api_watches", "Watches of the API that are open.", registry=registry)
        for result in WEBHOOK_RESULTS:
            self._webhooks.labels(result)
        for result in REPORT_RESULTS:
            self._reports.labels(result)
        for reason in REASONS:
            self._redis_refused.labels(reason)

    def count_agents_by(self, connected: Callable[[], int]) -> None:
        """Ask this for the number of connected agents whenever metrics are read."""
        self._agents.set_function(connected)

    def count_everywhere_by(self, connected: Callable[[], int], replicas: Callable[[], int]) -> None:
        """Ask this for the numbers of agents connected to any replica and of replicas whenever metrics are read."""
        self._everywhere.set_function(connected)
        self._replicas.set_function(replicas)

    def set_syncs(self, by_state: Mapping[SyncState, int]) -> None:
        """Replace the number of newest syncs; states that are not given are 0."""
        for state in SyncState:
            self._syncs.labels(state.value).set(by_state.get(state, 0))

    def report_batch(self, result: str) -> None:
        """Count a batch of reports; ``result`` is one of ``REPORT_RESULTS``."""
        self._reports.labels(result if result in REPORT_RESULTS else "failed").inc()

    def webhook(self, result: str) -> None:
        """Count a webhook request; ``result`` is one of ``WEBHOOK_RESULTS``."""
        self._webhooks.labels(result).inc()

    def redis_refused(self, reason: str) -> None:
        """Count what came by Redis and was refused; ``reason`` is one of ``kas.replicas.refusals.REASONS``."""
        self._redis_refused.labels(reason).inc()

    def http_request(self, listener: str, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answered request; ``route`` must be a pattern or ``unknown``, ``seconds`` is None for a watch."""
        self._requests.labels(listener, method if method in _METHODS else "other", route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(listener, route).observe(seconds)

    def watch_opened(self) -> None:
        """Count a watch in."""
        self._watches.inc()

    def watch_closed(self) -> None:
        """Count a watch out."""
        self._watches.dec()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format that suits an ``Accept`` header, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
