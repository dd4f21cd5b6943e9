"""Objects that agentk itself stands on, which no project may change or delete.

It would end in the middle of a sync, or gain rights that nobody gave it. ``agentk.kube.own`` finds out which they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentk.apply.model import Refusal
from agentk.apply.names import INVENTORY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentlink.refs import ObjectRef

_RBAC: Final = "rbac.authorization.k8s.io"
_BINDINGS: Final = frozenset({(_RBAC, "RoleBinding"), (_RBAC, "ClusterRoleBinding")})


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """What agentk stands on; empty when it runs outside the cluster.

    ``service_account`` is its namespace and name. ``refs`` are the objects that are known by name, the namespace among
    them.
    """

    service_account: tuple[str, str] | None = None
    refs: frozenset[ObjectRef] = frozenset()


NOTHING_OWN: Final = OwnObjects()
"""Of an agent outside its cluster."""


def namespaces_of_rights(refs: Iterable[ObjectRef]) -> frozenset[str]:
    """Return the namespaces in which any of these objects is a role or a binding, which might be agentk's own."""
    return frozenset(ref.namespace for ref in refs if ref.group == _RBAC and ref.namespace)


def refuse_own(ref: ObjectRef, own: OwnObjects) -> Refusal | None:
    """Return why an object is not to be touched, None when it may be."""
    if ref not in own.refs and not is_key(ref):
        return None
    return Refusal("Protected", "belongs to agentk itself, which never changes or deletes what it stands on")


def is_key(ref: ObjectRef) -> bool:
    """Tell whether an object is the key of inventories: of this agentk, of another one or of ``agentk apply``."""
    return ref.kind == "Secret" and not ref.group and ref.name == INVENTORY_KEY


def refuse_binding(ref: ObjectRef, manifest: Mapping[str, Any], own: OwnObjects) -> Refusal | None:
    """Return why a manifest may not be applied that would give rights to agentk itself."""
    if own.service_account is None or (ref.group, ref.kind) not in _BINDINGS:
        return None
    subjects = manifest.get("subjects")
    if not isinstance(subjects, list) or not any(_is_own(subject, ref, own.service_account) for subject in subjects):
        return None
    namespace, name = own.service_account
    return Refusal(
        "Protected",
        f"binds rights to agentk's own service account {namespace}/{name}; give agentk rights where it was installed, "
        "not by a project that it syncs",
    )


def _is_own(subject: object, ref: ObjectRef, account: tuple[str, str]) -> bool:
    match subject:
        case {"kind": "ServiceAccount", "name": str(name), "namespace": str(namespace)}:
            return (namespace, name) == account
        case {"kind": "ServiceAccount", "name": str(name)}:
            return (ref.namespace, name) == account
        case {"kind": "User", "name": str(name)}:
            return name == f"system:serviceaccount:{account[0]}:{account[1]}"
        case {"kind": "Group", "name": str(name)}:
            return name == f"system:serviceaccounts:{account[0]}"
        case _:
            return False
