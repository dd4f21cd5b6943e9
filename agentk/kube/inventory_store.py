"""Keeping an inventory in its ConfigMap: finding it, reading it, and writing no more than what changed.

The ConfigMap is what cli-utils wrote, so an inventory of GitLab's agent is found and taken over. How entries are
encoded is ``agentk.apply.inventory``; what belongs in them is the engine's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import orjson

from agentk.apply.inventory import decode, encode
from agentk.apply.model import Kind
from agentk.apply.names import FIELD_MANAGER, INVENTORY_LABEL
from agentk.kube.client import MERGE_PATCH, METADATA
from agentk.kube.errors import InventoryConflictError, InventoryDoubledError, InventoryTooLargeError, KubeError
from agentk.kube.paths import collection_path, object_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.model import Recorded
    from agentk.kube.client import KubeClient

_CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)

MAX_DATA: Final = 1 << 20
"""Bytes of keys and values that a ConfigMap may hold (Kubernetes' own limit)."""

_MAX_STORED: Final = (3 << 19) - (64 << 10)
"""Bytes that etcd takes in one request (1.5 MiB), less what surrounds the data. ``managedFields`` repeats every key."""

_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory as it was read or written, and the ConfigMap it is in."""

    records: Mapping[ObjectRef, Recorded]
    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the ConfigMap held when last seen."""

    ref: ObjectRef
    uid: str
    version: str
    data: Mapping[str, str]


class InventoryStore:
    """The inventory with one id. One writer at a time; another's write is noticed, never overwritten."""

    def __init__(
        self, client: KubeClient, inventory_id: str, *, namespace: str, retries: RetryPolicy | None = None
    ) -> None:
        """Describe an inventory; nothing is sent.

        Args:
            client: The connection.
            inventory_id: The value of the label that finds it, ``<agent id>-<project id>``.
            namespace: Where a new one is put, and where it is looked for if the whole cluster may not be searched.
            retries: How often and how far apart requests are repeated.
        """
        self._sender = Sender(client, retries or RetryPolicy())
        self._id = inventory_id
        self._namespace = namespace
        self._stored: _Stored | None = None
        self._known = False

    async def read(self) -> Inventory | None:
        """Find and read the inventory; None when there is none yet.

        Raises:
            InventoryDoubledError: There are several.
            agentk.apply.inventory.InventoryError: It cannot be understood.
            KubeError: It cannot be read.
        """
        stored = await self._find()
        self._stored, self._known = stored, True
        if stored is None:
            return None
        return _inventory(stored, decode(stored.data))

    async def write(self, records: Iterable[Recorded]) -> Inventory:
        """Make the inventory hold exactly ``records``; sends only the entries that changed, and nothing if none did.

        Raises:
            InventoryConflictError: It changed since it was read, or its name is taken: ``read`` again and decide anew.
            InventoryTooLargeError: There are more records than one ConfigMap holds; nothing was written.
            KubeError: It cannot be written.
        """
        kept = {record.ref: record for record in records}
        data = encode(kept.values())
        self._check_size(data)
        if not self._known:
            await self.read()
        before = self._stored
        try:
            after = await (self._create(data) if before is None else self._update(before, data))
        except KubeError as error:
            self._stored, self._known = None, False
            if error.status != _CONFLICT and (error.status != _NOT_FOUND or before is None):
                raise
            # A repeated request runs into its own first attempt, whose answer was lost.
            found = await self._find()
            if found is None or found.data != data:
                raise self._conflict(before, error) from error
            after = found
        self._stored, self._known = after, True
        return _inventory(after, kept)

    async def _find(self) -> _Stored | None:
        query = urlencode({"labelSelector": f"{INVENTORY_LABEL}={self._id}"})
        try:
            response = await self._sender.send("GET", f"{collection_path(_CONFIG_MAP, '')}?{query}")
        except KubeError as error:
            # An agent confined to namespaces cannot search the cluster.
            if error.status != _FORBIDDEN:
                raise
            response = await self._sender.send("GET", f"{collection_path(_CONFIG_MAP, self._namespace)}?{query}")
        items = orjson.loads(response.body).get("items") or []
        if len(items) > 1:
            places = ", ".join(sorted(f"{_where(item['metadata'])}" for item in items))
            raise InventoryDoubledError(
                _CONFLICT,
                "InventoryDoubled",
                f"inventory {self._id} is in {len(items)} ConfigMaps ({places}), and which one is right cannot be"
                f" known; nothing is applied or pruned until only one has the label {INVENTORY_LABEL}",
            )
        return _stored(items[0]) if items else None

    async def _create(self, data: dict[str, str]) -> _Stored:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"inventory-{self._id}",
                "namespace": self._namespace,
                "labels": {INVENTORY_LABEL: self._id},
            },
            "data": data,
        }
        path = f"{collection_path(_CONFIG_MAP, self._namespace)}?fieldManager={FIELD_MANAGER}"
        response = await self._sender.send("POST", path, orjson.dumps(body))
        return _stored(orjson.loads(response.body))

    async def _update(self, before: _Stored, data: dict[str, str]) -> _Stored:
        changed: dict[str, str | None] = {key: value for key, value in data.items() if before.data.get(key) != value}
        changed |= {key: None for key in before.data if key not in data}
        if not changed:
            return before
        # A merge patch with a resourceVersion is refused, as a PUT is, when another has written in between; unlike a
        # PUT it does not send thousands of entries to change one.
        patch = {"metadata": {"resourceVersion": before.version}, "data": changed}
        path = f"{object_path(_CONFIG_MAP, before.ref)}?fieldManager={FIELD_MANAGER}"
        # Nor is all of it sent back: of the answer only the new resourceVersion is not known already.
        response = await self._sender.send(
            "PATCH", path, orjson.dumps(patch), content_type=MERGE_PATCH, accept=METADATA
        )
        metadata = orjson.loads(response.body)["metadata"]
        return _Stored(before.ref, before.uid, str(metadata["resourceVersion"]), data)

    def _check_size(self, data: Mapping[str, str]) -> None:
        size = sum(len(key) + len(value.encode()) for key, value in data.items())
        stored = size + sum(len(key) + len('"f:":{},') for key in data)
        if size > MAX_DATA or stored > _MAX_STORED:
            raise InventoryTooLargeError(
                0,
                "TooLarge",
                f"inventory {self._id} has {len(data)} objects in {size} bytes, more than one ConfigMap holds"
                f" (limits: {MAX_DATA} bytes of data, {_MAX_STORED} bytes stored, of which this takes {stored});"
                " split the project",
            )

    def _conflict(self, before: _Stored | None, error: KubeError) -> InventoryConflictError:
        if before is None:
            what = (
                f"the ConfigMap {self._namespace}/inventory-{self._id} exists already and is not the inventory"
                f" {self._id} as it was read; if it is somebody else's, rename or remove it"
            )
        else:
            what = f"inventory {self._id} was changed or deleted by another since it was read; read it again"
        return InventoryConflictError(_CONFLICT, "InventoryConflict", f"{what} ({error.message})")


def _stored(document: Mapping[str, object]) -> _Stored:
    metadata = document["metadata"]
    data = document.get("data")
    assert isinstance(metadata, dict)  # noqa: S101 - every object that the server sends has one
    return _Stored(
        ObjectRef("", "ConfigMap", str(metadata["namespace"]), str(metadata["name"])),
        str(metadata["uid"]),
        str(metadata["resourceVersion"]),
        data if isinstance(data, dict) else {},
    )


def _inventory(stored: _Stored, records: Mapping[ObjectRef, Recorded]) -> Inventory:
    return Inventory(records, stored.ref.namespace, stored.ref.name, stored.uid, stored.version)


def _where(metadata: Mapping[str, object]) -> str:
    return f"{metadata['namespace']}/{metadata['name']}"
