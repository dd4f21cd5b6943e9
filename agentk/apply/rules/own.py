"""Objects that agentk itself stands on, which no project may change or delete.

It would end in the middle of a sync, or gain rights that nobody gave it. ``agentk.kube.own`` finds out which they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agentk.apply.model import Refusal
from agentk.apply.names import INVENTORY_KEY
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_RBAC: Final = "rbac.authorization.k8s.io"
_BINDINGS: Final = frozenset({(_RBAC, "RoleBinding"), (_RBAC, "ClusterRoleBinding")})
_HOLDS_TOKEN_OF: Final = "kubernetes.io/service-account.name"  # noqa: S105 - an annotation
"""Annotation of a Secret that Kubernetes fills with a token of that account."""

_ONLY_DATA: Final = frozenset({("", "Secret"), ("", "ConfigMap")})
"""Kinds whose fields are anybody's words."""

_READING: Final = ("volumes", "containers", "initContainers", "ephemeralContainers")
"""The parts of a pod's specification that read Secrets, each of which tells one."""

_EVERYBODY: Final = frozenset({"system:authenticated", "system:serviceaccounts"})
"""Groups that every service account is in."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector: labels that must be so, and what must hold of others, each as (key, operator, values)."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """What agentk stands on; empty when it runs outside the cluster.

    ``service_account`` is its namespace and name. ``refs`` are the objects that are known by name, the namespace among
    them. ``groups`` are those that the API server knows it to be in. ``aggregated`` select the ClusterRoles whose
    rights become its own.
    """

    service_account: tuple[str, str] | None = None
    refs: frozenset[ObjectRef] = frozenset()
    groups: frozenset[str] = frozenset()
    aggregated: tuple[Selector, ...] = ()


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
    found = [one for one in subjects if _is_own(one, ref, own)] if isinstance(subjects, list) else []
    if not found:
        return None
    namespace, name = own.service_account
    group = next((f", by the group {one['name']}" for one in found if one["kind"] == "Group"), "")
    return Refusal(
        "Protected",
        f"binds rights to agentk's own service account {namespace}/{name}{group}; bind the accounts that need them, and"
        " give agentk rights where it was installed, not by a project that it syncs",
    )


def refuse_account(ref: ObjectRef, manifest: Mapping[str, Any], own: OwnObjects) -> Refusal | None:
    """Return why a manifest may not be applied by which others would come by agentk's own account or Secrets."""
    if own.service_account is None or ref.namespace != own.service_account[0]:
        return None
    name = own.service_account[1]
    if (ref.group, ref.kind) in _ONLY_DATA:
        annotations = manifest["metadata"].get("annotations")
        token = ref.kind == "Secret" and isinstance(annotations, dict) and annotations.get(_HOLDS_TOKEN_OF) == name
        return _taken("would hold a token of", ref, name) if token else None
    if any(_account_of(one) == name for one in _mappings_of(manifest)):
        return _taken("would run as", ref, name)
    secret = next((one for one in named_in(manifest, "Secret", reading=False) if _is_own_secret(one, ref, own)), "")
    if not secret:
        return None
    return Refusal("Protected", f"would read agentk's own Secret {ref.namespace}/{secret}; use one made for it")


def _taken(what: str, ref: ObjectRef, name: str) -> Refusal:
    return Refusal(
        "Protected", f"{what} agentk's own service account {ref.namespace}/{name}; use an account made for it"
    )


def _mappings_of(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping in a manifest: where a kind has its pods no path tells, for kinds come with operators."""
    left = [value]
    while left:
        at = left.pop()
        if isinstance(at, dict):
            yield at
            left.extend(at.values())
        elif isinstance(at, list):
            left.extend(at)


def _account_of(spec: Mapping[str, Any]) -> object:
    """Return the account that a specification of a pod names, or has without naming one; None of anything else."""
    return spec.get("serviceAccountName") or spec.get("serviceAccount") or ("default" if "containers" in spec else None)


def named_in(value: object, kind: Literal["Secret", "ConfigMap"], *, reading: bool = True) -> Iterator[str]:
    """Yield the names of the Secrets, or ConfigMaps, that a pod mounts or has variables of.

    They are in volumes (``secret.secretName``, ``configMap.name``, of any driver ``secretName`` and ``…SecretRef``), in
    the sources of projected ones, and in ``envFrom`` and ``valueFrom``. One pass, however pods are nested.

    Args:
        value: A pod's specification, or what may have some.
        kind: Of what.
        reading: Whether all of it is a pod's; else only parts of pods count, for others may name Secrets for others.
    """
    word = kind.lower()
    left = [(value, reading)]
    while left:
        at, within = left.pop()
        if isinstance(at, list):
            left.extend((one, within) for one in at)
        elif isinstance(at, dict):
            for key, one in at.items():
                left.append((one, within or key in _READING))
                referred = isinstance(one, dict) and key.lower().endswith((word, f"{word}ref", f"{word}keyref"))
                name = one.get("name") if referred else one if key == f"{word}Name" else None
                if within and isinstance(name, str):
                    yield name


def _is_own_secret(name: str, ref: ObjectRef, own: OwnObjects) -> bool:
    return name == INVENTORY_KEY or ObjectRef("", "Secret", ref.namespace, name) in own.refs


def refuse_aggregated(ref: ObjectRef, labels: Mapping[str, object], own: OwnObjects) -> Refusal | None:
    """Return why a ClusterRole may not be applied whose rules Kubernetes would add to a role of agentk's."""
    if (ref.group, ref.kind) != (_RBAC, "ClusterRole") or not any(selects(one, labels) for one in own.aggregated):
        return None
    return Refusal(
        "Protected",
        "has labels by which its rules are added to a ClusterRole that agentk itself is bound to; take them off, or"
        " apply it where agentk was installed",
    )


def selects(selector: Selector, labels: Mapping[str, object]) -> bool:
    """Tell whether a label selector selects an object with these labels; what cannot be understood does."""
    return all(labels.get(key) == value for key, value in selector.labels) and all(
        _holds(labels, *expression) for expression in selector.expressions
    )


def _holds(labels: Mapping[str, object], key: str, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True


def names_account(subject: Mapping[str, object], account: tuple[str, str]) -> bool:
    """Tell whether a binding's subject is agentk's account and nobody beyond its namespace, however it is spelled."""
    namespace, name = account
    match subject:
        case {"kind": "ServiceAccount"}:
            return (subject.get("namespace"), subject.get("name")) == account
        case {"kind": "User"}:
            return subject.get("name") == f"system:serviceaccount:{namespace}:{name}"
        case {"kind": "Group"}:
            return subject.get("name") == f"system:serviceaccounts:{namespace}"
        case _:
            return False


def _is_own(subject: object, ref: ObjectRef, own: OwnObjects) -> bool:
    if not isinstance(subject, dict) or own.service_account is None:
        return False
    if subject.get("kind") == "ServiceAccount":
        subject = {**subject, "namespace": subject.get("namespace") or ref.namespace}
    is_group = subject.get("kind") == "Group"
    return names_account(subject, own.service_account) or (is_group and subject.get("name") in _EVERYBODY | own.groups)
