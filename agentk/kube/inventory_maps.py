"""One ConfigMap of an inventory as the API server answers it. Pure; what is sent and when is ``inventory_store``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentk.apply.inventory import InventoryError
from agentk.apply.names import INVENTORY_LABEL, INVENTORY_SHARDS
from agentk.apply.shards import listed, written
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentk.apply.shards import Patch

SHOWN: Final = 5
"""ConfigMaps that a message names; anybody may make any number."""


@dataclass(frozen=True, slots=True)
class StoredMap:
    """One ConfigMap as it was last seen; ``uid`` and ``version`` are empty until it was."""

    ref: ObjectRef
    uid: str
    version: str

    def __str__(self) -> str:
        return f"ConfigMap {self.ref.namespace}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Document:
    """One ConfigMap as it was answered."""

    stored: StoredMap
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    data: Mapping[str, str]


def listed_by(head: Document) -> frozenset[int]:
    """Return the shards that a head lists.

    Raises:
        InventoryError: Its list cannot be read.
    """
    try:
        return listed(head.annotations.get(INVENTORY_SHARDS, ""))
    except InventoryError as error:
        raise InventoryError(
            f"{head.stored}, annotation {INVENTORY_SHARDS}:",
            f"{error}; nothing is applied or pruned until it is put back as it was, or removed",
        ) from error


def fault_in(where: Document, fault: InventoryError | None) -> InventoryError | None:
    """Say of a fault in which ConfigMap it is."""
    return InventoryError(f"{where.stored}, {fault.place}", fault.message) if fault else None


def elsewhere(maps: Sequence[StoredMap], expected: StoredMap, *, more: bool) -> str:
    """Say which ConfigMaps have an inventory's label and are not taken for it; empty where there are none.

    Args:
        maps: Those that were found.
        expected: Where the inventory is.
        more: Whether there are more than were looked at.
    """
    if not maps:
        return ""
    named = ", ".join(str(one.ref.namespace) + "/" + one.ref.name for one in maps[:SHOWN])
    others = " and others" if more or len(maps) > SHOWN else ""
    return (
        f"ConfigMaps labelled as this inventory are not where it is kept, which is {expected.ref.namespace}/"
        f"{expected.ref.name}, and have no effect: {named}{others}; delete them, or take their label {INVENTORY_LABEL}"
        " off; if one of them, of the name it should have, is the right one, set inventory_namespace in config.yaml"
    )


def is_done(patch: Patch, found: Document) -> bool:
    """Tell whether a ConfigMap is as a patch leaves it. Of entries that it does not name only the number is known."""
    if patch.shards is not None and found.annotations.get(INVENTORY_SHARDS) != written(patch.shards):
        return False
    return len(found.data) == patch.entries and all(found.data.get(key) == value for key, value in patch.data.items())


def document_of(item: Mapping[str, Mapping[str, object]]) -> Document:
    """Read a ConfigMap."""
    metadata = item["metadata"]
    return Document(
        stored_of(item),
        _mapping(metadata.get("labels")),
        _mapping(metadata.get("annotations")),
        _mapping(item.get("data")),
    )


def stored_of(item: Mapping[str, Mapping[str, object]]) -> StoredMap:
    """Read which ConfigMap it is, from its metadata alone."""
    metadata = item["metadata"]
    ref = ObjectRef("", "ConfigMap", str(metadata["namespace"]), str(metadata["name"]))
    return StoredMap(ref, str(metadata["uid"]), str(metadata["resourceVersion"]))


def _mapping(found: object) -> Mapping[str, str]:
    return found if isinstance(found, dict) else {}
