"""What agentk may do in the cluster: GitLab's two roles, or the same narrowed to namespaces, kinds, or both.

Each verb is there for a reason: ``get``, ``list`` and ``watch`` to compare and to see drift and health; ``create`` and
``patch`` to apply server-side and to keep inventories; ``delete`` to prune. ``update`` is never sent: Kubernetes lets
nobody grant what they do not have, so applying a manifest with a Role that allows ``update`` takes it.

Not there: ``escalate`` and ``bind``, with which agentk could grant what it has not, and ``impersonate``.
docs/install.md says when and how to add them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kas.install.naming import NAME, READ_ROLE, WRITE_ROLE, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.install.values import Values

_API = "rbac.authorization.k8s.io"

_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete")

_INVENTORIES = "configmaps"
"""Where agentk remembers what it applied: needed whatever the kinds are."""


def role_objects(values: Values, namespace: str) -> Iterator[dict[str, Any]]:
    """Yield roles and bindings for the account in ``namespace``: of the cluster, or of each chosen namespace."""
    for where in (*dict.fromkeys(values.scope.namespaces),) or (None,):
        for name, verbs in ((READ_ROLE, _READ), (WRITE_ROLE, _WRITE)):
            yield from _role(values, name, verbs, namespace, where)


def _role(
    values: Values, name: str, verbs: tuple[str, ...], namespace: str, where: str | None
) -> Iterator[dict[str, Any]]:
    kind = "ClusterRole" if where is None else "Role"
    yield {
        "apiVersion": f"{_API}/v1",
        "kind": kind,
        "metadata": metadata(values, name, where),
        "rules": _rules(values, verbs),
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
