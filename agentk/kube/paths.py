"""Where the API server keeps what. Pure.

Names come out of Git and may be anything, so each is one encoded path segment or an error, never a way to another
object.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from agentk.apply.model import Kind
    from agentlink.refs import ObjectRef


@lru_cache(maxsize=4096)
def collection_path(kind: Kind, namespace: str) -> str:
    """Return the path of a kind's objects in one namespace; in all of them, or cluster-scoped, when it is empty."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    if kind.namespaced and namespace:
        return f"{root}/namespaces/{_segment(namespace)}/{kind.plural}"
    return f"{root}/{kind.plural}"


def object_path(kind: Kind, ref: ObjectRef) -> str:
    """Return the path of one object.

    Raises:
        KubeError: Reason ``Invalid`` when the name cannot be one, or a namespaced object names no namespace.
    """
    if kind.namespaced and not ref.namespace:
        raise KubeError(422, "Invalid", f"{ref} needs a namespace")
    return f"{collection_path(kind, ref.namespace)}/{_segment(ref.name)}"


def _segment(name: str) -> str:
    if name in {"", ".", ".."}:
        raise KubeError(422, "Invalid", f"{name!r} cannot be the name of an object")
    letters = name.replace("-", "").replace(".", "")
    # Nearly every name is one that needs no encoding, and finding that out is cheap.
    return name if letters.isalnum() and letters.isascii() else quote(name, safe=":")
