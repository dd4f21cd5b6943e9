"""What an object needs beyond what its annotations say: its Namespace and its CustomResourceDefinition. Pure.

Used for applying (``staging``), for deleting (``deletion``) and for what may not be deleted at all (``rules.prune``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from agentk.apply.model import Kind

_EXTENSIONS: Final = "apiextensions.k8s.io"


def home_of(namespace: str) -> ObjectRef:
    """Return the Namespace object of a namespace."""
    return ObjectRef("", "Namespace", "", namespace)


def definition_of(kind: Kind) -> ObjectRef:
    """Return the CustomResourceDefinition that defines a kind, if it is one that a CRD defines."""
    return ObjectRef(_EXTENSIONS, "CustomResourceDefinition", "", f"{kind.plural}.{kind.group}")
