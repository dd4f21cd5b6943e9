"""A Lease on the API server: reading, taking, renewing, giving back and watching one. What to do when is elsewhere.

Every write names the version it stands on, so that of two who write at once only one succeeds. Labels and whatever else
somebody put on the object stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.model import Kind
from agentk.apply.names import FIELD_MANAGER
from agentk.kube.client import MERGE_PATCH
from agentk.kube.errors import KubeError, error_from_status
from agentk.kube.failures import read_document, read_object
from agentk.kube.paths import collection_path, object_path
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agentk.kube.client import KubeClient

LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases", namespaced=True)
_NOT_FOUND: Final = 404
_WATCH_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as the API server has it.

    Attributes:
        uid: Of the object: another one after it was deleted and made anew.
        version: Its resourceVersion.
        holder: Who has it; empty when nobody does.
        seconds: For how long after a renewal others must leave it alone; None if it does not say.
        transitions: How often it has changed hands.
        renewed: When it was renewed last, by the holder's clock and as text: good for telling whether it changed, and
            for nothing else.
    """

    uid: str
    version: str
    holder: str
    seconds: int | None
    transitions: int
    renewed: str


class Leases:
    """The Lease of one name. Each attempt is a single request; the API server's word comes as KubeError."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        """Describe a Lease; nothing is sent."""
        self.namespace = namespace
        self.name = name
        self._client = client
        self._collection = collection_path(LEASE, namespace)
        self._path = object_path(LEASE, ObjectRef(LEASE.group, LEASE.kind, namespace, name))

    async def read(self, *, within: float) -> Lease | None:
        """Return it, None when there is none."""
        try:
            body = await self._client.request("GET", self._path, timeout=within)
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return _lease(read_object(body))

    async def take(self, before: Lease | None, holder: str, *, seconds: int, transitions: int, within: float) -> Lease:
        """Make ``holder`` the one who has it, if it still is as ``before``.

        Raises:
            KubeError: 409 ``Conflict`` or ``AlreadyExists`` when somebody was faster, 404 when it is gone.
        """
        now = _now()
        spec: dict[str, object] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "leaseTransitions": transitions,
            "acquireTime": now,
            "renewTime": now,
        }
        if before is not None:
            return await self._patch(before, spec, within=within)
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }
        path = f"{self._collection}?fieldManager={FIELD_MANAGER}"
        answer = await self._client.request("POST", path, body=orjson.dumps(body), timeout=within)
        return _lease(read_object(answer))

    async def renew(self, before: Lease, *, within: float) -> Lease:
        """Say that its holder is still there; errors as of ``take``."""
        return await self._patch(before, {"renewTime": _now()}, within=within)

    async def release(self, before: Lease, *, within: float) -> None:
        """Give it back, so that nobody has to wait; errors as of ``take``."""
        await self._patch(before, {"holderIdentity": None, "renewTime": _now()}, within=within)

    async def changes(self) -> AsyncGenerator[Lease | None, None]:
        """Yield it as it is and whenever it changes, None when it was deleted, until the server ends the connection.

        Raises:
            KubeError: The server refuses, or the connection breaks.
        """
        params = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self.name}",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._client.stream(self._collection, params=params) as lines:
            async for line in lines:
                event = read_document(line)
                match event.get("type"):
                    case "ADDED" | "MODIFIED":
                        yield _lease(event["object"])
                    case "DELETED":
                        yield None
                    case "ERROR":
                        raise error_from_status(event["object"])

    async def _patch(self, before: Lease, spec: dict[str, object], *, within: float) -> Lease:
        # By the version the server refuses where another has written since, by the UID where it is another object.
        patch = {"metadata": {"resourceVersion": before.version, "uid": before.uid}, "spec": spec}
        answer = await self._client.request(
            "PATCH",
            f"{self._path}?fieldManager={FIELD_MANAGER}",
            body=orjson.dumps(patch),
            content_type=MERGE_PATCH,
            timeout=within,
        )
        return _lease(read_object(answer))


def _lease(document: dict[str, Any]) -> Lease:
    spec = document.get("spec") or {}
    return Lease(
        uid=document["metadata"]["uid"],
        version=document["metadata"]["resourceVersion"],
        holder=spec.get("holderIdentity") or "",
        seconds=spec.get("leaseDurationSeconds"),
        transitions=spec.get("leaseTransitions") or 0,
        renewed=spec.get("renewTime") or "",
    )


def _now() -> str:
    """Return the wall clock's time as Kubernetes writes it; for people who look at the Lease."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
