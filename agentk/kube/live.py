"""From an object's metadata to what the planner needs of it. Pure.

The fingerprint is the heart of drift detection: it covers which fields our server-side apply owns, so that taking a
field from us (scaling, ``set image``, removing) changes it, other people's additions do not, and applying again
restores it exactly.
"""

from __future__ import annotations

from hashlib import blake2b
from sys import intern
from typing import TYPE_CHECKING

import orjson

from agentk.apply import names
from agentk.apply.model import Live
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.model import Kind


def live_of(kind: Kind, metadata: Mapping[str, object], ref: ObjectRef | None = None) -> Live:
    """Read the ``metadata`` of an object of ``kind``.

    Tens of thousands are kept, so what many have in common (namespace, owner, fingerprint) is kept once, and ``ref``,
    if the name is known already, is used as it is.
    """
    annotations = _mapping(metadata.get("annotations"))
    fingerprint, appliers = _managers(metadata.get("managedFields"))
    owner = annotations.get(names.OWNING_INVENTORY)
    return Live(
        ref=ref or ref_of(kind, metadata),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        fingerprint=fingerprint,
        owner=intern(owner) if isinstance(owner, str) else None,
        labelled=names.AGENT_LABEL in _mapping(metadata.get("labels")),
        keep_on_remove=annotations.get(names.LIFECYCLE_DELETION) == names.LIFECYCLE_DELETION_DETACH
        or annotations.get(names.ON_REMOVE) == names.ON_REMOVE_KEEP,
        ignore_mutation=annotations.get(names.LIFECYCLE_MUTATION) == names.LIFECYCLE_MUTATION_IGNORE,
        deleting=metadata.get("deletionTimestamp") is not None,
        appliers=appliers,
    )


def ref_of(kind: Kind, metadata: Mapping[str, object]) -> ObjectRef:
    """Read the name out of an object's ``metadata``."""
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    return ObjectRef(kind.group, kind.kind, intern(namespace), name)


def _managers(managed_fields: object) -> tuple[str | None, frozenset[str]]:
    """Return our fingerprint, 16 hex digits or None when we own nothing, and who else used server-side apply.

    Of ``managedFields`` only the entries of our own applies count for it, and of those not the time, which moves with
    every change.
    """
    if not isinstance(managed_fields, list):
        return None, frozenset()
    ours: list[object] = []
    others: set[str] = set()
    for entry in managed_fields:
        # What controllers apply to a subresource such as status is theirs to own, and no claim on the object.
        if not isinstance(entry, dict) or entry.get("operation") != "Apply" or entry.get("subresource"):
            continue
        manager = entry.get("manager")
        if manager == names.FIELD_MANAGER:
            ours.append([entry.get("apiVersion"), entry.get("fieldsV1")])
        else:
            others.add(str(manager))
    if not ours:
        return None, frozenset(others)
    digest = blake2b(orjson.dumps(ours, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
    return intern(digest), frozenset(others)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
