"""Seeing from outside when something is in the cluster: a watch that costs the measured programs next to nothing.

A thread notes the time and the bytes of each event; nothing is parsed until somebody asks.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube


NAME = b'"name":"bench-'
"""How the objects of ``bench.stage`` begin; the inventory and Kubernetes' own ConfigMap are not counted."""


class NothingSeenError(RuntimeError):
    """What was waited for did not happen in time."""


class ConfigMapWatch:
    """The ConfigMaps of one namespace from now on; a context manager. Times are those of ``time.time``."""

    def __init__(self, control_plane: ControlPlane, kube: Kube, namespace: str) -> None:
        self._control_plane = control_plane
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._version = kube.get(self._path, limit="1")["metadata"]["resourceVersion"]
        self._seen: list[tuple[float, bytes]] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._response: http.client.HTTPResponse | None = None
        self._closed = False

    def __enter__(self) -> Self:
        self._response = self._open()
        self._thread.start()
        return self

    def _open(self) -> http.client.HTTPResponse:
        parts = urlsplit(self._control_plane.url)
        tls = ssl.create_default_context(cafile=str(self._control_plane.ca_file))
        self._connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=tls)
        headers = {"Authorization": f"Bearer {self._control_plane.token}", "User-Agent": "bench"}
        self._connection.request("GET", f"{self._path}?watch=1&resourceVersion={self._version}", headers=headers)
        response = self._connection.getresponse()
        if response.status != http.client.OK:
            raise NothingSeenError(f"the watch of {self._path} was refused with {response.status}")
        return response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(timeout=5)
        self._connection.close()

    def additions(self, count: int, *, within: float) -> list[float]:
        """Wait until ``count`` objects of the benchmarks have been added; return the time of each."""

        def times() -> list[float]:
            return [at for at, line in self._seen if line.startswith(b'{"type":"ADDED"') and NAME in line]

        with self._news:
            if not self._news.wait_for(lambda: len(self._seen) >= count and len(times()) >= count, within):
                raise NothingSeenError(f"{len(times())} of {count} objects within {within:g} s")
            return times()[:count]

    def when(self, name: str, value: str, *, since: int, within: float = 30.0) -> tuple[float, int]:
        """Return when an object's ``data.value`` first was that, and how many events there had been with that one.

        Looks at events from number ``since`` on.
        """
        place = since

        def found() -> tuple[float, int] | None:
            nonlocal place
            while place < len(self._seen):
                at, line = self._seen[place]
                place += 1
                event = json.loads(line)
                if event["object"]["metadata"]["name"] == name and event["object"]["data"]["value"] == value:
                    return at, place
            return None

        with self._news:
            seen = self._news.wait_for(found, within)
        if seen is None:
            raise NothingSeenError(f"the value of {name} is not {value} after {within:g} s")
        return seen

    @property
    def count(self) -> int:
        """How many events there have been."""
        return len(self._seen)

    def _read(self) -> None:
        assert self._response is not None  # noqa: S101 - set before the thread starts
        try:
            while not self._closed:
                while line := self._response.readline():
                    at = time.time()
                    with self._news:
                        self._seen.append((at, line))
                        self._news.notify()
                if not self._closed:
                    # A server with much to do ends watches that are slow to take what it sends.
                    if self._seen:
                        self._version = json.loads(self._seen[-1][1])["object"]["metadata"]["resourceVersion"]
                    self._response = self._open()
        except (OSError, ValueError, http.client.HTTPException):
            if not self._closed:
                raise
