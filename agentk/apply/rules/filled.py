"""Whether an object may still be applied once its fields are filled: the rules that judged its manifest, once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentk.apply.kinds import defined_by
from agentk.apply.model import Refusal
from agentk.apply.rules.autoscale import scaled_by
from agentk.apply.rules.identity import changed
from agentk.apply.rules.manifest import refuse_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.bounds import Bounds
    from agentlink.refs import ObjectRef

_DEFINITION = "CustomResourceDefinition"


def refuse_filled(
    ref: ObjectRef, before: Mapping[str, Any], after: Mapping[str, Any], bounds: Bounds
) -> Refusal | None:
    """Return why an object may not be applied as it was filled, None when it may. No text quotes a value.

    Args:
        ref: Its name.
        before: The object as it was judged.
        after: The same with its fields filled.
        bounds: The project's.
    """
    field = changed(before, after)
    if not field and scaled_by(ref, before) != scaled_by(ref, after):
        field = "spec.scaleTargetRef"
    if not field and ref.kind == _DEFINITION and defined_by(before) != defined_by(after):
        field = "spec, in the kinds that it defines"
    if field:
        return Refusal(
            "InvalidMutation", f"would be changed by its substitutions in {field}, which is Git's alone to decide"
        )
    return refuse_manifest(ref, after, bounds)
