"""What a manifest asks for itself in annotations, and what the project's rules ask for it. Pure.

Each annotation is obeyed as it stands in Git; what somebody writes on the live object changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from agentk.apply.model import Desired, DriftPolicy, Traits
from agentk.apply.names import DRIFT, FORCE_CONFLICTS, IGNORE_FIELDS, RECREATE
from agentk.apply.pointers import PointerError
from agentk.apply.rules.autoscale import REPLICAS, scaled_by
from agentk.apply.rules.controllers import left_to_a_controller
from agentk.apply.rules.ignore import leave_out, left_to_others
from agentk.apply.rules.secretive import is_secret
from agentk.apply.rules.string_data import folded_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentk.apply.model import IgnoreRule
    from agentlink.refs import ObjectRef

_ANNOTATIONS: Final = frozenset({DRIFT, FORCE_CONFLICTS, IGNORE_FIELDS, RECREATE})
_SWITCHES: Final = {"true": True, "false": False}
_DRIFT: Final = {policy.value: policy for policy in DriftPolicy}
_NONE: Final = Traits()
_Value = TypeVar("_Value")


class InvalidTraitError(ValueError):
    """An annotation or rule that cannot be obeyed. ``reason`` is a CamelCase word, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def traits_of(
    ref: ObjectRef, manifest: dict[str, Any], body: bytes, rules: Sequence[IgnoreRule] = ()
) -> tuple[Traits | None, bytes]:
    """Return what is asked for an object, None for the great many of which nothing is, and the body to apply.

    Args:
        ref: Its name.
        manifest: The object as in ``body``; is changed.
        body: The whole object as JSON; what is returned is without the fields that are left to others.
        rules: The project's.

    Raises:
        InvalidTraitError: An annotation or a rule cannot be obeyed.
    """
    annotations = manifest["metadata"]["annotations"]
    traits = _NONE if _ANNOTATIONS.isdisjoint(annotations) else _read(annotations)
    if rules:
        traits = replace(traits, left=(*traits.left, *left_to_others(ref, rules)))
    announced = left_to_a_controller(ref, manifest)
    if announced is not None:
        traits = replace(traits, left=(*traits.left, *announced.fields), controller=announced.whom)
    target = scaled_by(ref, manifest)
    if target is not None:
        traits = replace(traits, scales=target)
    if traits is _NONE:
        return None, body
    if traits.left:
        if is_secret(ref):
            traits = replace(traits, left=tuple(map(folded_pointer, traits.left)))
        try:
            found = leave_out(manifest, traits.left)
        except PointerError as error:
            raise InvalidTraitError("InvalidIgnoreRule", str(error)) from error
        if found:
            return replace(traits, full=body), written(manifest)
    return (None if traits == _NONE else traits), body


def leave_scaled(
    desired: Sequence[Desired], scalers: Mapping[ObjectRef, ObjectRef], body_of: Callable[[Desired], bytes]
) -> tuple[Desired, ...]:
    """Leave the replicas of objects that an autoscaler scales to it.

    Args:
        desired: The objects of a revision; autoscalers among them count.
        scalers: The autoscalers of the cluster, by what they scale.
        body_of: Tells what would be sent for an object.
    """
    found = {one.traits.scales: one.ref for one in desired if one.traits is not None and one.traits.scales is not None}
    scaled = {**scalers, **found}
    if not scaled:
        return tuple(desired)
    return tuple(_leave_replicas(one, body_of(one), scaled[one.ref]) if one.ref in scaled else one for one in desired)


def _leave_replicas(desired: Desired, whole: bytes, scaler: ObjectRef) -> Desired:
    """Return an object as it is to be applied while an autoscaler sets its replicas."""
    traits = desired.traits or _NONE
    document = orjson.loads(whole)
    traits = replace(traits, left=(*traits.left, REPLICAS), scaler=str(scaler))
    if not leave_out(document, (REPLICAS,)):
        return replace(desired, traits=traits)
    body = written(document)
    traits = replace(traits, full=traits.full or whole)
    return replace(desired, body=body, digest=blake2b(body, digest_size=8).digest(), traits=traits)


def written(document: object) -> bytes:
    """Write an object as it is sent and its digest is made of.

    It is as long as its text: what orjson returns keeps the 4 kB that it was written into.
    """
    return bytes(memoryview(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)))


def _read(annotations: Mapping[str, object]) -> Traits:
    fields = annotations.get(IGNORE_FIELDS, "")
    if not isinstance(fields, str):
        raise InvalidTraitError("InvalidAnnotation", f"annotation {IGNORE_FIELDS} must be a text")
    return Traits(
        drift=_chosen(annotations, DRIFT, _DRIFT) if DRIFT in annotations else None,
        force_conflicts=FORCE_CONFLICTS in annotations and _chosen(annotations, FORCE_CONFLICTS, _SWITCHES),
        recreate=RECREATE in annotations and _chosen(annotations, RECREATE, _SWITCHES),
        left=tuple(one.strip() for one in fields.split(",") if one.strip()),
    )


def _chosen(annotations: Mapping[str, object], key: str, values: Mapping[str, _Value]) -> _Value:
    value = annotations[key]
    if not isinstance(value, str) or value not in values:
        raise InvalidTraitError("InvalidAnnotation", f"annotation {key} must be one of {', '.join(values)}")
    return values[value]
