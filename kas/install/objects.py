"""All objects of an installation, in the order in which they can be created."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from kas.install.naming import CA_CONFIG_MAP, CA_KEY, NAME, TOKEN_KEY, TOKEN_SECRET, metadata
from kas.install.roles import role_objects
from kas.install.workload import deployment, disruption_budget, network_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.install.values import Values


def objects(values: Values, namespace: str) -> Iterator[dict[str, Any]]:
    """Yield what installs agentk in ``namespace``: who it is and what it may do first, the Deployment last.

    The namespace carries no Pod Security label, although the pod would pass: it may be somebody's already, with pods
    that would not.
    """
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(values, NAME, namespace),
        # Only agentk's own pod gets a token.
        "automountServiceAccountToken": False,
    }
    if values.rbac:
        yield from role_objects(values, namespace)
    if values.token:
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(values, TOKEN_SECRET, namespace),
            "type": "Opaque",
            # Not stringData, which `kubectl diff` shows.
            "data": {TOKEN_KEY: b64encode(values.token.encode()).decode()},
        }
    if values.ca_cert:
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(values, CA_CONFIG_MAP, namespace),
            "data": {CA_KEY: values.ca_cert},
        }
    if values.network_policy.enabled:
        yield network_policy(values, namespace)
    if values.replicas > 1:
        yield disruption_budget(values, namespace)
    yield deployment(values, namespace)
