"""Takes the time at which a change is seen in the cluster, by a watch of its own: polling would add to every time."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes.client import AppsV1Api, CoreV1Api
from kubernetes.config import new_client_from_config
from kubernetes.watch.watch import iter_resp_lines
from urllib3.exceptions import HTTPError

from tests.support.waiting import NotInTimeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WATCH_SECONDS = 3600


@dataclass(frozen=True)
class Sighting:
    """One change: ``at`` is what ``time.monotonic`` said when it arrived; ``kind`` is ADDED, MODIFIED or DELETED."""

    at: float
    kind: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


class Sightings:
    """Watches the Deployments and Services of a namespace, from construction to the end of the process."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._client = new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call] # no types
        self._namespace = namespace
        self._seen: list[Sighting] = []
        self._news = threading.Condition()
        for lister in (
            AppsV1Api(self._client).list_namespaced_deployment,
            CoreV1Api(self._client).list_namespaced_service,
        ):
            metadata = lister(namespace).metadata
            assert metadata is not None  # noqa: S101 - a list always has it
            version = metadata.resource_version
            # A daemon: it sits in a read that only the API server ends.
            threading.Thread(target=self._watch, args=(lister, version), name="sightings", daemon=True).start()

    def first(self, wanted: Callable[[Sighting], bool], *, after: float, what: str, within: float = 60.0) -> Sighting:
        """Return the first sighting later than ``after`` (of ``time.monotonic``) that is wanted; wait for it.

        Raises:
            NotInTimeError: none within ``within`` seconds.
        """

        def find() -> Sighting | None:
            return next((one for one in self._seen if one.at > after and wanted(one)), None)

        with self._news:
            found = self._news.wait_for(find, within)
        if found is None:
            raise NotInTimeError(f"not within {within:g} s: {what}")
        return found

    def _watch(self, lister: Callable[..., Any], version: str) -> None:
        options = {"watch": True, "resource_version": version, "timeout_seconds": WATCH_SECONDS}
        try:
            answer = lister(self._namespace, _preload_content=False, **options)
            for line in iter_resp_lines(answer):  # type: ignore[no-untyped-call] # no types
                at = time.monotonic()
                event = json.loads(line)
                with self._news:
                    self._seen.append(Sighting(at, event["type"], event["object"]))
                    self._news.notify_all()
        except (HTTPError, OSError):
            return  # the cluster has ended; whoever still waits is told by the deadline


def replicas(name: str, number: int) -> Callable[[Sighting], bool]:
    """Want a Deployment that is asked for this many replicas."""
    return lambda one: one.kind != "DELETED" and one.name == name and one.body["spec"].get("replicas") == number


def gone(name: str) -> Callable[[Sighting], bool]:
    """Want an object that is no more."""
    return lambda one: one.kind == "DELETED" and one.name == name
