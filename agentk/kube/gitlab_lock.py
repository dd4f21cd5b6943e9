"""Finding out who has the Lease by which GitLab's own agentk of the same id elects its leader. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.model import Kind
from agentk.apply.rules.rival import HARMLESS, LockHolder
from agentk.kube.errors import KubeError
from agentk.kube.failures import read_document, read_object
from agentk.kube.lease import LEASE
from agentk.kube.paths import collection_path, object_path
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.kube.client import KubeClient

_POD: Final = Kind("", "v1", "Pod", "pods", namespaced=True)
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_SECONDS: Final = 10.0

_MOST: Final = 20
"""Leases of that name that are looked at. There is one; more are of people who want to be in the way."""


async def lock_holders(client: KubeClient, agent_id: int, *, home: str, inventory: str) -> list[LockHolder]:
    """Return who has it, wherever it is; where the cluster may not be searched, in the namespace ``home`` alone.

    Args:
        client: The connection.
        agent_id: The agent's id.
        home: The namespace where agentk runs.
        inventory: The namespace of the inventory that they might write; empty for any.

    Raises:
        KubeError: The API server does not answer.
    """
    for namespace in ("", home):
        params = {"fieldSelector": f"metadata.name=agent-{agent_id}-lock", "resourceVersion": "0"}
        try:
            body = await client.request("GET", collection_path(LEASE, namespace), params=params, timeout=_SECONDS)
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            continue
        items = read_document(body).get("items")
        found = [one for one in items[:_MOST] if isinstance(one, dict)] if isinstance(items, list) else []
        return [await _holder(client, lease, inventory) for lease in found]
    return []


async def _holder(client: KubeClient, lease: Mapping[str, Any], inventory: str) -> LockHolder:
    metadata, spec = lease.get("metadata") or {}, lease.get("spec") or {}
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    harmless = (metadata.get("annotations") or {}).get(HARMLESS) == "none"
    identity = str(spec.get("holderIdentity") or "")
    if not identity or harmless:
        return LockHolder(namespace, name, identity, harmless=harmless)
    try:
        path = object_path(_POD, ObjectRef("", "Pod", namespace, identity))
        pod = read_object(await client.request("GET", path, timeout=_SECONDS))
        account = str((pod.get("spec") or {}).get("serviceAccountName") or "default")
        may_write = await _may_write(client, namespace, account, inventory)
    except KubeError as error:
        if error.status not in {_FORBIDDEN, _NOT_FOUND}:
            raise
        # A pod that is gone has no hands: it died, and nobody has taken its Lease.
        return LockHolder(namespace, name, "" if error.status == _NOT_FOUND else identity)
    return LockHolder(namespace, name, identity, pod, may_write)


async def _may_write(client: KubeClient, namespace: str, account: str, inventory: str) -> bool | None:
    """Tell whether a service account may write the ConfigMaps of a namespace, None where that may not be asked."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": groups,
            "resourceAttributes": {"namespace": inventory, "verb": "patch", "resource": "configmaps"},
        },
    }
    try:
        answer = read_document(await client.request("POST", _REVIEWS, body=orjson.dumps(review), timeout=_SECONDS))
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return None
        raise
    return (answer.get("status") or {}).get("allowed") is True
