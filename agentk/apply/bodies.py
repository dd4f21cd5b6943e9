"""From the text of an object in Git to what is sent for it. Pure.

``resolve`` makes each body once, to know its digest and what its annotations ask for, and keeps none: with the text,
which is there anyway, it is made again when it is sent. That takes a few microseconds, and tens of thousands of bodies
would be most of what agentk holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from agentk.apply.names import AGENT_LABEL, OWNING_INVENTORY
from agentk.apply.rules.identity import SERVER_FIELDS
from agentk.apply.rules.string_data import fold, is_filled_later
from agentk.apply.traits import traits_of, written

if TYPE_CHECKING:
    from agentk.apply.bounds import Bounds
    from agentk.apply.files import Files
    from agentk.apply.model import Desired, IgnoreRule, Kind


class Basis(NamedTuple):
    """What every resolved object depends on besides its manifest and its kind."""

    agent_id: str
    default_namespace: str
    ignore: tuple[IgnoreRule, ...]
    bounds: Bounds


class Bodies:
    """What is sent for the objects of a revision."""

    __slots__ = ("_basis", "_files")

    def __init__(self, files: Files, basis: Basis) -> None:
        """Take the revision's files, and what they were resolved upon."""
        self._files = files
        self._basis = basis

    def __call__(self, desired: Desired) -> bytes:
        """Return the complete JSON of an object that was resolved from these files."""
        if desired.body is not None:
            return desired.body
        manifest = orjson.loads(self._files[desired.path][desired.number])
        complete(manifest, desired.kind, self._basis)
        return traits_of(desired.ref, manifest, written(manifest), self._basis.ignore)[1]


def complete(manifest: dict[str, Any], kind: Kind, basis: Basis) -> None:
    """Make of a manifest the object to apply: in a namespace if it is namespaced, ours, and without what servers write.

    Its labels and annotations, where it has any, must be mappings.
    """
    metadata = manifest["metadata"]
    if kind.namespaced:
        metadata["namespace"] = metadata.get("namespace") or basis.default_namespace
    else:
        metadata.pop("namespace", None)
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    metadata["labels"] = {**(labels or {}), AGENT_LABEL: basis.agent_id}
    metadata["annotations"] = {**(annotations or {}), OWNING_INVENTORY: basis.bounds.inventory_id}
    if not SERVER_FIELDS.isdisjoint(metadata):
        for field in SERVER_FIELDS:
            metadata.pop(field, None)
    manifest.pop("status", None)
    if not is_filled_later(metadata["annotations"]):
        fold(manifest)
