"""Finding out what agentk itself stands on in its cluster: namespace, service account, Deployment, roles and bindings.

Roles and bindings are looked for in its own namespace, and in those where a project has some: a narrowed agent has its
rights there, and a project that brought others of the same names would take them away.

What may not be read is left out: to protect less is what such an installation asks for, and to stop is not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.model import Kind
from agentk.apply.rules.own import NOTHING_OWN, OwnObjects, Selector, named_in, names_account, selects
from agentk.kube.errors import KubeError
from agentk.kube.failures import read_document
from agentk.kube.paths import collection_path, object_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender
from agentlink import logs
from agentlink.refs import ObjectRef, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agentk.kube.client import KubeClient

_RBAC: Final = "rbac.authorization.k8s.io"
_POD: Final = Kind("", "v1", "Pod", "pods", namespaced=True)
_REPLICA_SET: Final = Kind("apps", "v1", "ReplicaSet", "replicasets", namespaced=True)
_ROLE_BINDING: Final = Kind(_RBAC, "v1", "RoleBinding", "rolebindings", namespaced=True)
_CLUSTER_ROLE: Final = Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
_CLUSTER_ROLE_BINDING: Final = Kind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
_REVIEW_PATH: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW: Final = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
_ACCOUNT: Final = "system:serviceaccount:"

log = logs.get_logger("own")


class Own:
    """Finds it out when it is first asked for, and remembers it."""

    def __init__(self, client: KubeClient, *, namespace: str, pod: str) -> None:
        """Prepare; nothing is sent.

        Args:
            client: The connection, as agentk itself.
            namespace: Where its pod runs; empty outside a cluster, where there is nothing to be found.
            pod: The pod's name, empty when it is not known.
        """
        self._client = client
        self._namespace = namespace
        self._pod = pod
        self._asking = asyncio.Lock()
        self._search: _Search | None = None

    async def objects(self, namespaces: Iterable[str] = ()) -> OwnObjects:
        """Return what agentk stands on; of its roles and bindings those that are in its own and in these namespaces.

        Raises:
            KubeError: The API server does not answer.
        """
        if not self._namespace:
            return NOTHING_OWN
        async with self._asking:
            if self._search is None:
                search = _Search(self._client, self._namespace)
                await search.run(self._pod)
                self._search = search
            return await self._search.look_in(namespaces)


class _Search:
    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._sender = Sender(client, RetryPolicy())
        self._namespace = namespace
        self._found: set[ObjectRef] = {ObjectRef("", "Namespace", "", namespace)}
        self._account: tuple[str, str] | None = None
        self._groups: frozenset[str] = frozenset()
        self._aggregated: tuple[Selector, ...] = ()
        self._looked_in: set[str] = set()

    async def run(self, pod: str) -> None:
        """Find all but the roles and bindings of namespaces."""
        self._account = await self._myself()
        if pod:
            await self._pod(pod)
        if self._account is not None:
            self._found.add(ObjectRef("", "ServiceAccount", *self._account))
            await self._bindings(_CLUSTER_ROLE_BINDING, "", self._account)
            await self._aggregations()

    async def look_in(self, namespaces: Iterable[str]) -> OwnObjects:
        """Find roles and bindings in these namespaces too, each asked for once; return all that was found."""
        if self._account is not None:
            for namespace in sorted({self._namespace, *namespaces} - self._looked_in):
                before = len(self._found)
                await self._bindings(_ROLE_BINDING, namespace, self._account)
                if len(self._found) != before:
                    await self._aggregations()
                self._looked_in.add(namespace)
        return OwnObjects(self._account, frozenset(self._found), self._groups, self._aggregated)

    async def _myself(self) -> tuple[str, str] | None:
        """Return the namespace and name of the service account that we are, None when we are somebody else."""
        review = await self._read("POST", _REVIEW_PATH, _REVIEW)
        known = (review.get("status") or {}).get("userInfo") or {}
        self._groups = frozenset(str(group) for group in known.get("groups") or ())
        user = str(known.get("username", ""))
        namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
        return (namespace, name) if user.startswith(_ACCOUNT) and name else None

    async def _pod(self, name: str) -> None:
        """Add the pod's Deployment, and the Secrets and ConfigMaps that it mounts or has variables of."""
        pod = await self._read("GET", object_path(_POD, ObjectRef("", "Pod", self._namespace, name)))
        spec = pod.get("spec")
        for kind in ("Secret", "ConfigMap"):
            self._found.update(ObjectRef("", kind, self._namespace, one) for one in named_in(spec, kind))
        for owner in _controllers(pod, self._namespace):
            self._found.add(owner)
            if owner.kind == "ReplicaSet":
                replica_set = await self._read("GET", object_path(_REPLICA_SET, owner))
                self._found.update(_controllers(replica_set, self._namespace))

    async def _bindings(self, kind: Kind, namespace: str, account: tuple[str, str]) -> None:
        """Add the bindings that give us rights, and the roles that they bind."""
        for item in await self._list(collection_path(kind, namespace)):
            if any(names_account(subject, account) for subject in item.get("subjects") or ()):
                self._found.add(ObjectRef(_RBAC, kind.kind, namespace, item["metadata"]["name"]))
                role = item.get("roleRef") or {}
                where = namespace if role.get("kind") == "Role" else ""
                self._found.add(ObjectRef(_RBAC, str(role.get("kind")), where, str(role.get("name"))))

    async def _aggregations(self) -> None:
        """Find what selects the ClusterRoles that are added to those we are bound to, directly or by way of others."""
        bound = {ref.name for ref in self._found if (ref.group, ref.kind) == (_RBAC, "ClusterRole")}
        if not bound:
            return
        roles = await self._list(collection_path(_CLUSTER_ROLE, ""))
        found: dict[Selector, None] = {}
        queue = [role for role in roles if role["metadata"]["name"] in bound]
        seen = {role["metadata"]["name"] for role in queue}
        for role in queue:
            for selector in map(_selector, (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()):
                found[selector] = None
                for other in roles:
                    name = other["metadata"]["name"]
                    if name not in seen and selects(selector, other["metadata"].get("labels") or {}):
                        seen.add(name)
                        queue.append(other)
        self._aggregated = tuple(found)

    async def _list(self, path: str) -> list[dict[str, Any]]:
        """Return all objects of a collection, none where we may not see them."""
        try:
            return [item async for page in self._sender.pages(path) for item in page.items]
        except KubeError as error:
            self._pass_over(error, path)
            return []

    async def _read(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Return one object, an empty one where we may not see it or it is not there."""
        try:
            response = await self._sender.send(method, path, body)
        except KubeError as error:
            self._pass_over(error, path)
            return {}
        return read_document(response.body)

    def _pass_over(self, error: KubeError, path: str) -> None:
        if error.retryable or error.status == 0:
            raise error
        log.debug("A part of the agent itself may not be read, and is not protected", path=path, why=error.message)


def _controllers(document: Mapping[str, Any], namespace: str) -> Iterator[ObjectRef]:
    for owner in (document.get("metadata") or {}).get("ownerReferences") or ():
        yield ObjectRef(group_of(str(owner["apiVersion"])), str(owner["kind"]), namespace, str(owner["name"]))


def _selector(selector: Mapping[str, Any]) -> Selector:
    return Selector(
        tuple(sorted((selector.get("matchLabels") or {}).items())),
        tuple(
            (str(one.get("key")), str(one.get("operator")), tuple(one.get("values") or ()))
            for one in selector.get("matchExpressions") or ()
        ),
    )
