"""From an object's metadata to what the planner needs of it. Pure.

The fingerprint is the heart of drift detection: it covers which fields our server-side apply owns, so that taking a
field from us (scaling, ``set image``, removing) changes it, other people's additions do not, and applying again
restores it exactly.
"""

from __future__ import annotations

from hashlib import blake2b
from sys import intern
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply import names
from agentk.apply.managers import APPLY, Entry, entries, is_ours
from agentk.apply.model import Live
from agentk.apply.rules.annotated import ordering_of_live
from agentk.apply.rules.migrate import is_applied_by_kubectl, is_due
from agentk.apply.rules.secretive import holds_secrets
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentk.apply.model import Kind


_NOBODY: Final[frozenset[str]] = frozenset()
"""For nearly every object; each empty set would be one of its own, of 216 bytes."""

_TELLING: Final = frozenset(
    {
        names.APPLY_TIME_MUTATION,
        names.FROM_SECRETS,
        names.LIFECYCLE_DELETION,
        names.LIFECYCLE_MUTATION,
        names.ON_REMOVE,
    }
)
"""Annotations that say what is not to be done to an object, or not to be told of it."""


def live_of(kind: Kind, metadata: Mapping[str, object], ref: ObjectRef | None = None) -> Live:
    """Read the ``metadata`` of an object of ``kind``.

    Tens of thousands are kept, so what many have in common (namespace, owner, fingerprint) is kept once, and ``ref``,
    if the name is known already, is used as it is.
    """
    annotations = _mapping(metadata.get("annotations"))
    managed = entries(metadata.get("managedFields"))
    owner = annotations.get(names.OWNING_INVENTORY)
    ref = ref or ref_of(kind, metadata)
    # Nearly every object has one entry, which is ours: nobody else applies it, and there is nothing to take over.
    alone = len(managed) == 1 and is_ours(managed[0])
    quiet = _TELLING.isdisjoint(annotations)
    labels = _mapping(metadata.get("labels"))
    return Live(
        ref=ref,
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        fingerprint=_fingerprint(managed),
        owner=intern(owner) if isinstance(owner, str) else None,
        labelled=names.AGENT_LABEL in labels,
        keep_on_remove=not quiet and _is_kept(annotations),
        ignore_mutation=not quiet and annotations.get(names.LIFECYCLE_MUTATION) == names.LIFECYCLE_MUTATION_IGNORE,
        deleting=metadata.get("deletionTimestamp") is not None,
        appliers=_NOBODY if alone else _appliers(managed),
        migrate=not alone and is_due(managed),
        ordering=ordering_of_live(annotations, ref),
        from_secrets=not quiet and holds_secrets(annotations, ref),
        inventory=names.INVENTORY_LABEL in labels,
    )


def _is_kept(annotations: Mapping[str, object]) -> bool:
    return (
        annotations.get(names.LIFECYCLE_DELETION) == names.LIFECYCLE_DELETION_DETACH
        or annotations.get(names.ON_REMOVE) == names.ON_REMOVE_KEEP
    )


def ref_of(kind: Kind, metadata: Mapping[str, object]) -> ObjectRef:
    """Read the name out of an object's ``metadata``."""
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    return ObjectRef(kind.group, kind.kind, intern(namespace), name)


def _fingerprint(managed: Sequence[Entry]) -> str | None:
    """Digest which fields we own, as 16 hex digits; None when we own none.

    Only the entries of our own applies count, and of those not the time, which moves with every change.
    """
    ours = [(entry.get("apiVersion"), entry.get("fieldsV1")) for entry in managed if is_ours(entry)]
    if not ours:
        return None
    return intern(blake2b(orjson.dumps(ours, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest())


def _appliers(managed: Sequence[Entry]) -> frozenset[str]:
    """Return who else has a source of truth for the object.

    What controllers apply to a subresource such as status is theirs to own, and no claim on the object; what kubectl
    applied becomes ours.
    """
    found = {
        str(entry.get("manager"))
        for entry in managed
        if entry.get("operation") == APPLY
        and not entry.get("subresource")
        and not is_ours(entry)
        and not is_applied_by_kubectl(entry)
    }
    return frozenset(found) if found else _NOBODY


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
