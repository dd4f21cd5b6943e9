"""Which namespaces a project may have objects in, where its configuration names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlink.refs import ObjectRef


def refuse_place(ref: ObjectRef, allowed: Sequence[str]) -> Refusal | None:
    """Return why the project may not have this object, None when it may; an empty ``allowed`` allows every place."""
    if not allowed or ref.namespace in allowed:
        return None
    where = f"is in namespace {ref.namespace}" if ref.namespace else "belongs to the whole cluster"
    return Refusal(
        "OutsideAllowedNamespaces",
        f"{where}, and the project may only have objects in {', '.join(allowed)}; move it there, or extend "
        "allowed_namespaces",
    )
