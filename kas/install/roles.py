"""What agentk may do in the cluster: GitLab's two roles, or the same narrowed to namespaces, kinds, or both.

Each verb is there for a reason: ``get``, ``list`` and ``watch`` to compare and to see drift and health; ``create`` and
``patch`` to apply server-side and to keep inventories; ``delete`` to prune. ``update`` is never sent: Kubernetes lets
nobody grant what they do not have, so applying a manifest with a Role that allows ``update`` takes it.

Beside them, in agentk's own namespace, what electing one of the replicas takes (``agentk/leadership``): a lease to
look at, make and change, whose name has the agent's number in it, which is not known here. And the key that inventories
are sealed with (``agentk/kube/inventory_key.py``): that one Secret to read, and, because Kubernetes knows no names of
what is yet to be made, any Secret there to make.

``escalate`` and ``bind``, to grant what agentk has not itself, come with the whole cluster alone: operators and
monitoring stacks bring such roles, GitLab's agent could apply them, and who may write every object in every namespace
is the cluster's administrator without them. A narrowed agent must not widen itself. ``impersonate`` is for the service
accounts that are named, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kas.install.naming import IMPERSONATE_ROLE, LEASE_ROLE, NAME, READ_ROLE, WRITE_ROLE, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.install.values import Values

_API = "rbac.authorization.k8s.io"

_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete")

_LEASES = {
    "apiGroups": ["coordination.k8s.io"],
    "resources": ["leases"],
    "verbs": ["get", "create", "patch", "watch"],
}

_INVENTORY_KEY = (
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["agentk-inventory-key"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
)

_GRANT = {"apiGroups": [_API], "resources": ["clusterroles", "roles"], "verbs": ["bind", "escalate"]}

_EVENTS = {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}
"""To tell of a project on its inventory (``agentk/kube/events.py``); without it everything works but that."""

_AUTOSCALERS = {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]}
"""To leave replicas to autoscalers that are not in Git (``agentk/gitops/autoscalers.py``)."""

_INVENTORIES = "configmaps"
"""Where agentk remembers what it applied: needed whatever the kinds are."""


def role_objects(values: Values, namespace: str) -> Iterator[dict[str, Any]]:
    """Yield roles and bindings for the account in ``namespace``: of the cluster, or of each chosen namespace."""
    yield from _role(values, LEASE_ROLE, [_LEASES, *map(dict, _INVENTORY_KEY)], namespace, namespace)
    read, write = _rules(values, _READ), _rules(values, _WRITE)
    accounts = _accounts(values)
    places = _places(values)
    if places == (None,) and not values.scope.kinds:
        write.append(dict(_GRANT))
    if values.scope.kinds:
        read.append(dict(_AUTOSCALERS))
        write.append(dict(_EVENTS))
    for where in places:
        yield from _role(values, READ_ROLE, read, namespace, where)
        yield from _role(values, WRITE_ROLE, write, namespace, where)
    for where, names in accounts.items():
        if where not in places and None not in places:
            # Who it acts as writes; to see drift and health it watches as itself, for all projects, and tells of it.
            yield from _role(values, READ_ROLE, [*read, dict(_EVENTS)], namespace, where)
        yield from _role(values, IMPERSONATE_ROLE, [_act_as(names)], namespace, where)


def _places(values: Values) -> tuple[str | None, ...]:
    """Return the namespaces to read and write in; None is the whole cluster."""
    scope = values.scope
    if scope.namespaces:
        return tuple(dict.fromkeys(scope.namespaces))
    return () if scope.impersonate and not scope.kinds else (None,)


def _accounts(values: Values) -> dict[str, set[str]]:
    """Return the names of the service accounts to act as, by namespace."""
    accounts: dict[str, set[str]] = {}
    for account in values.scope.impersonate:
        where, _, name = account.partition("/")
        accounts.setdefault(where, set()).add(name)
    return accounts


def _role(
    values: Values, name: str, rules: list[dict[str, Any]], namespace: str, where: str | None
) -> Iterator[dict[str, Any]]:
    kind = "ClusterRole" if where is None else "Role"
    yield {
        "apiVersion": f"{_API}/v1",
        "kind": kind,
        "metadata": metadata(values, name, where),
        "rules": rules,
    }
    yield {
        "apiVersion": f"{_API}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata(values, name, where),
        "roleRef": {"apiGroup": _API, "kind": kind, "name": f"{values.name_prefix}{name}"},
        "subjects": [{"kind": "ServiceAccount", "name": f"{values.name_prefix}{NAME}", "namespace": namespace}],
    }


def _rules(values: Values, verbs: tuple[str, ...]) -> list[dict[str, Any]]:
    if not values.scope.kinds:
        return [{"apiGroups": ["*"], "resources": ["*"], "verbs": [*verbs]}]
    rules = []
    for kind in sorted({*values.scope.kinds, _INVENTORIES}):
        resource, _, group = kind.partition(".")
        rules.append({"apiGroups": [group], "resources": [resource], "verbs": [*verbs]})
    return rules


def _act_as(names: set[str]) -> dict[str, Any]:
    return {
        "apiGroups": [""],
        "resources": ["serviceaccounts"],
        "resourceNames": sorted(names),
        "verbs": ["impersonate"],
    }
