"""The cluster as agentk sees it: credentials, API server, its version, its kinds, and our rights on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentk.apply.rules.rival import judge as judge_holder
from agentk.check.access import missing_rights, who_am_i
from agentk.check.rights import (
    Right,
    applicable,
    choose,
    judge,
    judge_inventories,
    judge_inventory_key,
    judge_lease,
    resource_of,
)
from agentk.kube.client import KubeClient
from agentk.kube.discovery import Discovery
from agentk.kube.errors import KubeError
from agentk.kube.gitlab_lock import lock_holders
from agentk.kube.inventory_key import REMEDY, SECRET, InventoryKey
from agentk.kube.lease import LEASE
from agentk.leadership.campaign import ROLE
from agentk.leadership.campaign import VERBS as LEASE_VERBS
from agentlink.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from agentk.apply.model import Kind

OLDEST: Final = (1, 22)
"""The first API server whose server-side apply is complete."""

TESTED: Final = (1, 36)
"""The newest API server that agentk was tested with."""

_AREA: Final = "cluster"
_VERSION: Final = re.compile(r"v?(\d{1,9})\.(\d{1,9})")
_REMEDIES: Final = {
    "Unauthorized": "log in again, or let the pod have a valid service account token",
    "Forbidden": "bind the role system:discovery to this account, as clusters do by default",
    "Unreachable": "look at the cluster's address, at firewalls and at network policies of agentk's namespace",
    "Timeout": "look at the cluster's address, at firewalls and at network policies of agentk's namespace",
}


async def check_cluster(
    *,
    kubeconfig: str | None,
    context: str | None,
    namespaces: Sequence[str],
    kinds: Sequence[str],
    lease_namespace: str,
    agent_id: int | None = None,
) -> AsyncIterator[Finding]:
    """Look at the cluster and yield what is found, up to the first step that fails.

    Args:
        kubeconfig: None for the pod's service account, else the user's own.
        context: None for its current one.
        namespaces: where rights are asked for; empty for the whole cluster.
        kinds: on what, such as ``deployments.apps``; empty for everything that manifests can hold.
        lease_namespace: where agentk runs, and its lease lies.
        agent_id: whose projects GitLab's agentk might sync too; None where kas has not said it.
    """
    try:
        client = await KubeClient.connect(kubeconfig=kubeconfig, context=context)
    except KubeError as error:
        yield failed(_AREA, "credentials", error.message)
        return
    async with client:
        try:
            yield _judge_version(client.host, (await client.version()).get("gitVersion", ""))
            account = await _account(client)
            yield ok(_AREA, "account", f"agentk is {account}" if account else "the API server does not tell our name")
            discovery = Discovery(client)
            await discovery.refresh()
            for group_version in sorted(discovery.stale):
                remedy = "look at its APIService and pods; agentk goes on with everything else"
                yield warning(_AREA, "kinds", f"the server of {group_version} does not answer", remedy)
            for finding in await _rights(client, discovery, account, namespaces, kinds):
                yield finding
            yield await _lease(client, account, lease_namespace)
            yield await _inventory_key(client, lease_namespace)
            if agent_id is not None:
                yield await _gitlab_agent(client, agent_id, namespaces, lease_namespace)
        except* KubeError as errors:
            yield _failure(errors)


def _failure(errors: BaseExceptionGroup[KubeError]) -> Finding:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    reason = error.reason if isinstance(error, KubeError) else ""
    return failed(_AREA, "API server", str(error), _REMEDIES.get(reason, ""))


def _judge_version(host: str, version: str) -> Finding:
    """Return whether agentk works with an API server of this version."""
    match = _VERSION.match(version)
    if match is None:
        return warning(_AREA, "API server", f"{host} does not tell its version")
    known = (int(match[1]), int(match[2]))
    if known < OLDEST:
        oldest, said = ".".join(map(str, OLDEST)), f"{host} has Kubernetes {version}"
        return failed(_AREA, "API server", said, f"agentk needs {oldest} or newer, for server-side apply")
    if known > TESTED:
        newest = ".".join(map(str, TESTED))
        said = f"{host} has Kubernetes {version}, newer than {newest}, up to which this agentk was tested"
        return warning(_AREA, "API server", said, "look for a newer agentk")
    return ok(_AREA, "API server", f"{host} has Kubernetes {version}")


async def _account(client: KubeClient) -> str:
    try:
        return await who_am_i(client)
    except KubeError as error:
        if error.reason in {"NotFound", "Forbidden", "MethodNotAllowed"}:
            return ""
        raise


async def _rights(
    client: KubeClient, discovery: Discovery, account: str, namespaces: Sequence[str], names: Sequence[str]
) -> list[Finding]:
    verbs = applicable({kind: discovery.verbs(kind) for kind in discovery.kinds.values()})
    chosen, findings = choose(names, verbs) if names else (list(verbs), [])
    inventories = next((kind for kind in verbs if resource_of(kind) == "configmaps"), None)
    if inventories is not None and inventories not in chosen:
        chosen.append(inventories)
    asked = _needed(chosen, verbs, namespaces, named=bool(names))
    missing = await missing_rights(client, asked, {resource_of(kind): kind for kind in chosen})
    findings += judge(asked, missing, account=account, narrowed=bool(names or namespaces))
    return findings + judge_inventories(asked, missing)


async def _lease(client: KubeClient, account: str, namespace: str) -> Finding:
    asked = [Right(namespace, resource_of(LEASE), verb) for verb in LEASE_VERBS]
    missing = await missing_rights(client, asked, {resource_of(LEASE): LEASE})
    return judge_lease(namespace, missing, role=ROLE, account=account)


async def _inventory_key(client: KubeClient, namespace: str) -> Finding:
    """Look for the key as agentk does; whether it could be made, where there is none, is asked."""
    key = InventoryKey(client, namespace)
    refused = ""
    if await key.find() is None:
        missing = await missing_rights(
            client, [Right(namespace, resource_of(SECRET), "create")], {resource_of(SECRET): SECRET}
        )
        unmade = f"the Secret {key.ref.namespace}/{key.ref.name} may not be made; {REMEDY}" if missing else ""
        refused = key.refused or unmade
    return judge_inventory_key(namespace, refused)


async def _gitlab_agent(client: KubeClient, agent_id: int, namespaces: Sequence[str], home: str) -> Finding:
    """Look for GitLab's agentk of the same id, which would undo what this one does."""
    for inventory in namespaces or ("",):
        for holder in await lock_holders(client, agent_id, home=home, inventory=inventory):
            if (rival := judge_holder(holder)) is not None:
                return (failed if rival.certain else warning)(_AREA, "GitLab's agentk", rival.why.message)
    return ok(_AREA, "GitLab's agentk", f"none that does GitOps is at work for agent {agent_id}, as far as can be seen")


def _needed(
    kinds: Sequence[Kind], verbs: Mapping[Kind, frozenset[str]], namespaces: Sequence[str], *, named: bool
) -> list[Right]:
    """Return the rights to ask for: of kinds without a namespace too if they were named, or no namespaces were."""
    asked = []
    for kind in kinds:
        places = namespaces if kind.namespaced and namespaces else ("",)
        if kind.namespaced or not namespaces or named:
            asked += [Right(place, resource_of(kind), verb) for place in places for verb in sorted(verbs[kind])]
    return asked
