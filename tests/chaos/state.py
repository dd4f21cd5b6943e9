"""What a cluster holds of an agent, such that two ends of a sync can be compared, and what must hold at any moment."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentk.apply.inventory import record_of
from agentk.apply.names import INVENTORY_KEY
from agentk.apply.seal import Seal
from agentk.leadership.leadership import OUTSIDE
from tests.chaos.revisions import KINDS, keeps, plain
from tests.support.kube import ApiError
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.kube import Kube

OWNING = "config.k8s.io/owning-inventory"
NOT_FOUND, TOO_MANY_REQUESTS = 404, 429
INVENTORY = "cli-utils.sigs.k8s.io/inventory-id"


@dataclass(frozen=True)
class State:
    """All that is annotated as the inventory's, and the inventory.

    ``objects`` are by the inventory's key, without what differs from run to run; ``uids`` likewise. ``entries`` are
    the inventory's, each as digest, fingerprint and UID.
    """

    objects: dict[str, dict[str, Any]]
    uids: dict[str, str] = field(compare=False)
    entries: dict[str, list[str]] = field(compare=False)

    @property
    def applied(self) -> dict[str, list[str]]:
        """What the inventory says was applied, without UIDs."""
        return {key: value[:2] for key, value in self.entries.items()}

    @property
    def kept(self) -> dict[str, str]:
        """The UIDs of the objects that are in both revisions."""
        return {key: uid for key, uid in self.uids.items() if keeps(key.split("_")[1])}

    def forgotten(self) -> set[str]:
        """Return the objects that are ours and that no inventory names."""
        return self.uids.keys() - self.entries.keys()


def look(kube: Kube, namespace: str) -> State:
    """Look at what the one inventory of a namespace owns, wherever it is."""
    entries: dict[str, list[str]] = {}
    inventory_id = None
    for item in _items(kube, f"/api/v1/namespaces/{namespace}/configmaps"):
        inventory_id = item["metadata"].get("labels", {}).get(INVENTORY, inventory_id)
        if INVENTORY in item["metadata"].get("labels", {}):
            for key, value in item.get("data", {}).items():
                recorded = record_of(key, value, seal_of(kube, inventory_id))
                entries[key] = [recorded.digest, recorded.fingerprint, recorded.uid]
    objects: dict[str, dict[str, Any]] = {}
    uids: dict[str, str] = {}
    for path in KINDS:
        for item in _items(kube, path):
            metadata = item["metadata"]
            owner = metadata.get("annotations", {}).get(OWNING)
            if owner is not None and owner == inventory_id and "deletionTimestamp" not in metadata:
                key = _key(path, item)
                objects[key], uids[key] = plain(item), metadata["uid"]
    return State(objects, uids, entries)


def seal_of(kube: Kube, inventory_id: str | None) -> Seal | None:
    """Return what opens the values of an inventory of an agentk outside the cluster; None before it has a key."""
    secret = kube.find(f"/api/v1/namespaces/{OUTSIDE}/secrets/{INVENTORY_KEY}")
    return Seal(b64decode(secret["data"]["key"]), inventory_id or "") if secret else None


def _items(kube: Kube, path: str) -> list[dict[str, Any]]:
    def ask() -> list[list[dict[str, Any]]] | None:
        try:
            return [kube.get(path)["items"]]
        except ApiError as error:
            if error.status == NOT_FOUND:  # a kind whose definition is not there
                return [[]]
            if error.status == TOO_MANY_REQUESTS:  # one whose definition has just come
                return None
            raise

    found = wait_until(ask, what=f"{path} can be listed")
    return found[0] if found else []


def _key(path: str, item: dict[str, Any]) -> str:
    group = path.split("/")[2] if path.startswith("/apis/") else ""
    plural = path.rpartition("/")[2]
    kind = {
        "namespaces": "Namespace",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "customresourcedefinitions": "CustomResourceDefinition",
        "kindas": "KindA",
        "kindbs": "KindB",
    }[plural]
    metadata = item["metadata"]
    return f"{metadata.get('namespace', '')}_{metadata['name']}_{group}_{kind}"
