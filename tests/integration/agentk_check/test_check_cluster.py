"""``agentk check`` on the real API server, as service accounts that may do much, little and nothing."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from agentk.check.cluster import check_cluster
from agentk.check.rights import VERBS
from agentk.leadership.campaign import VERBS as LEASE_VERBS
from agentlink.findings import Finding, Level
from kas.install.objects import objects
from kas.install.values import read_values
from tests.support.gitlab_agent import claim, let_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

    Account = Callable[[Sequence[dict[str, object]]], str]

pytestmark = pytest.mark.cluster

ALL_VERBS: list[str] = [*VERBS]


async def checked(
    kubeconfig: str,
    *,
    namespaces: Sequence[str] = (),
    kinds: Sequence[str] = (),
    home: str = "default",
    agent_id: int | None = None,
) -> list[Finding]:
    found = check_cluster(
        kubeconfig=kubeconfig,
        context=None,
        namespaces=namespaces,
        kinds=kinds,
        lease_namespace=home,
        agent_id=agent_id,
    )
    return [finding async for finding in found]


def failures(findings: Sequence[Finding], check: str = "rights") -> list[str]:
    return [f.message for f in findings if f.check == check and f.level is Level.FAILED]


async def test_an_administrator_may_do_everything(control_plane: Cluster) -> None:
    findings = await checked(str(control_plane.kubeconfig))

    assert [f.check for f in findings] == ["API server", "account", "rights", "inventory", "lease", "inventory key"]
    assert {f.level for f in findings} == {Level.OK}
    assert "in the whole cluster with all" in findings[2].message


async def test_gitlabs_agent_of_the_same_id_is_found_if_it_may_write_what_this_one_does(
    control_plane: Cluster, account: Account, kube: Kube, namespace: str
) -> None:
    async def found(kubeconfig: str) -> Finding:
        findings = await checked(kubeconfig, namespaces=[namespace], kinds=["configmaps"], home=namespace, agent_id=77)
        return next(finding for finding in findings if finding.check == "GitLab's agentk")

    administrator = str(control_plane.kubeconfig)
    narrow = account([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]}])
    claim(kube, namespace, "agent-77-lock")
    assert (await found(administrator)).level is Level.OK
    let_write(kube, namespace)
    said = await found(administrator)
    assert (said.level, "agentk 16 is at work" in said.message) == (Level.FAILED, True)
    # One that may neither search the cluster nor look at pods, nor ask who may write, says what it sees.
    said = await found(narrow)
    assert (said.level, "may be at work" in said.message) == (Level.WARNING, True)


async def test_missing_verbs_and_kinds_are_named_exactly(account: Account, namespace: str) -> None:
    kubeconfig = account(
        [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ALL_VERBS},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "patch"]},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch", "patch"]},
        ]
    )

    kinds = ["deployments.apps", "services", "configmaps", "ingresses.networking.k8s.io"]
    findings = await checked(kubeconfig, namespaces=[namespace], kinds=kinds)

    assert failures(findings) == [
        f"may not create and delete in namespace {namespace}: deployments.apps, services",
        f"may not get, list, watch, create, patch and delete in namespace {namespace}: ingresses.networking.k8s.io",
    ]
    assert f"may do everything agentk needs in namespace {namespace} with configmaps" in [f.message for f in findings]
    assert not failures(findings, "inventory")


async def test_a_role_for_everything_in_a_namespace_is_complete_there_and_nothing_elsewhere(
    account: Account, namespace: str
) -> None:
    kubeconfig = account([{"apiGroups": ["*"], "resources": ["*"], "verbs": ALL_VERBS}])

    inside = await checked(kubeconfig, namespaces=[namespace], home=namespace)
    outside = await checked(kubeconfig, namespaces=[namespace, "default"], kinds=["configmaps"])

    assert {f.level for f in inside} == {Level.OK}
    assert failures(outside) == [
        "may not get, list, watch, create, patch and delete in namespace default: configmaps",
    ]
    assert len(failures(outside, "inventory")) == 1


async def test_a_kind_without_namespace_is_asked_for_when_it_is_named(account: Account, namespace: str) -> None:
    kubeconfig = account([{"apiGroups": ["*"], "resources": ["*"], "verbs": ALL_VERBS}])

    findings = await checked(kubeconfig, namespaces=[namespace], kinds=["namespaces", "configmaps"])

    assert failures(findings) == ["may not get, list, watch, create, patch and delete in the whole cluster: namespaces"]


async def test_an_account_without_rights_cannot_keep_inventories(account: Account, namespace: str) -> None:
    findings = await checked(account([]), namespaces=[namespace])

    assert len(failures(findings)) == 1
    assert "deployments.apps" in failures(findings)[0]
    assert len(failures(findings, "inventory")) == 1
    assert f"system:serviceaccount:{namespace}:" in findings[1].message


@pytest.mark.parametrize("verb", LEASE_VERBS)
async def test_every_right_on_leases_is_asked_for_where_agentk_runs(
    verb: str, account: Account, namespace: str
) -> None:
    verbs = [other for other in LEASE_VERBS if other != verb]
    kubeconfig = account([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}])

    (lease,) = (f for f in await checked(kubeconfig, kinds=["configmaps"], home=namespace) if f.check == "lease")

    assert lease.level is Level.FAILED
    assert lease.message.startswith(f"may not {verb} leases.coordination.k8s.io in namespace {namespace}")
    assert "gitlab-agent-leader-election" in lease.remedy


async def test_the_rights_of_the_generated_role_are_enough_for_a_lease_and_the_key_of_inventories(
    account: Account, namespace: str
) -> None:
    values = read_values({"kasAddress": "wss://kas.example.com", "token": "glagent-0123456789"})
    (role,) = (one for one in objects(values, namespace) if one["kind"] == "Role")
    kubeconfig = account(role["rules"])

    lease, key = (await checked(kubeconfig, kinds=["configmaps"], home=namespace))[-2:]

    assert (lease.check, lease.level) == ("lease", Level.OK)
    assert (key.check, key.level) == ("inventory key", Level.OK)


@pytest.mark.parametrize("verb", ["get", "create"])
async def test_a_key_of_inventories_that_cannot_be_had_is_a_warning_with_the_remedy(
    verb: str, account: Account, namespace: str
) -> None:
    kubeconfig = account([{"apiGroups": [""], "resources": ["secrets"], "verbs": [verb]}])

    (key,) = (f for f in await checked(kubeconfig, kinds=["configmaps"], home=namespace) if f.check == "inventory key")

    assert key.level is Level.WARNING
    assert (
        f"the Secret {namespace}/agentk-inventory-key may not be {'made' if verb == 'get' else 'read'}" in key.message
    )
    assert "gitlab-agent-leader-election" in key.remedy


async def test_an_unknown_kind_is_answered_with_the_likely_one(control_plane: Cluster) -> None:
    findings = await checked(str(control_plane.kubeconfig), kinds=["deployments"])

    unknown = next(f for f in findings if f.check == "kinds")
    assert unknown.level is Level.FAILED
    assert "deployments.apps" in unknown.remedy


async def test_nothing_is_left_behind(kube: Kube, account: Account, namespace: str) -> None:
    kubeconfig = account([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
    collections = ["configmaps", "secrets", "events"]
    before = {name: kube.get(f"/api/v1/namespaces/{namespace}/{name}")["items"] for name in collections}

    await checked(kubeconfig, namespaces=[namespace])

    assert {name: kube.get(f"/api/v1/namespaces/{namespace}/{name}")["items"] for name in collections} == before


async def test_a_wrong_token_is_told_and_not_shown(control_plane: Cluster, tmp_path: Path) -> None:
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    document["users"] = [{"name": user["name"], "user": {"token": "hidden-word"}} for user in document["users"]]
    file = tmp_path / "kubeconfig"
    file.write_bytes(orjson.dumps(document))

    findings = await checked(str(file))

    assert findings[-1].level is Level.FAILED
    assert "Unauthorized" in findings[-1].message
    assert "hidden-word" not in json.dumps([f.message + f.remedy for f in findings])


async def test_an_api_server_that_is_not_there_is_told(control_plane: Cluster, tmp_path: Path) -> None:
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{probe.getsockname()[1]}"
    file = tmp_path / "kubeconfig"
    file.write_bytes(orjson.dumps(document))

    findings = await checked(str(file))

    assert [(f.check, f.level) for f in findings] == [("API server", Level.FAILED)]
    assert findings[0].remedy


async def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path) -> None:
    findings = await checked(str(tmp_path / "absent"))

    assert [(f.check, f.level) for f in findings] == [("credentials", Level.FAILED)]
