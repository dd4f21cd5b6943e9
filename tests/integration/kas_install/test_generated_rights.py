"""Every right in the generated roles is needed, those of a narrowed scope are enough, and none reaches further."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Agent
from tests.support.installed_agent import (
    apply,
    documents,
    fetch,
    generate,
    kubeconfig,
    path_of,
    service_account_token,
    token_file,
)
from tests.support.manifests import config_files, config_map, deployment
from tests.support.processes import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT = "scoped"

ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: editor}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [update]}]
"""


class Scoped:
    """An agent with exactly the rights of the generated roles, and where it may work."""

    def __init__(
        self, installation: Installation, cluster: ControlPlane, kube: Kube, directory: Path, *scope: str
    ) -> None:
        self.kas = installation.kas
        self.kube = kube
        self.inside = f"inside-{secrets.token_hex(3)}"
        self.home = f"home-{secrets.token_hex(3)}"
        self.repository = installation.git.create("group/config")
        self._installation, self._cluster, self._directory = installation, cluster, directory
        kube.create("/api/v1/namespaces", {"metadata": {"name": self.inside}})
        options = [part for one in scope for part in ("--scope", one.replace("INSIDE", self.inside))]
        self.objects = documents(generate(self.kas, AGENT, self.home, "--name-prefix", f"{self.home}-", *options))
        apply(kube, self.objects)

    def take_away(self, verb: str, *, of: str = "*") -> None:
        """Remove a verb on these resources from the roles."""
        for one in self.objects:
            if one["kind"] in {"Role", "ClusterRole"}:
                rules = [
                    {**rule, "verbs": [v for v in rule["verbs"] if v != verb or of not in rule["resources"]]}
                    for rule in one["rules"]
                ]
                self.kube.patch(path_of(one), {"rules": [rule for rule in rules if rule["verbs"]]})

    def lease_name(self) -> str:
        """Return the name of the agent's lease."""
        (agent,) = (agent for agent in self.kas.get("agents") if agent["name"] == AGENT)
        return f"agentk-{agent['id']}"

    @contextmanager
    def running(self, *args: str) -> Iterator[Agent]:
        """Run agentk."""
        token = service_account_token(self.kube, self.home, f"{self.home}-gitlab-agent")
        config = kubeconfig(self._cluster, token, self._directory / "kubeconfig")
        directory = self._directory / "agent"
        directory.mkdir()
        (directory / f"token-{AGENT}").write_bytes(token_file(self.kas, AGENT).read_bytes())
        agent = Agent(
            self.kas,
            AGENT,
            project="group/config",
            kubeconfig=config,
            directory=directory,
            environment={"POD_NAMESPACE": self.home},
            register=False,
        )
        try:
            yield agent.start(*args)
        finally:
            agent.stop()

    def push(self, files: dict[str, str | bytes], *, more: str = "") -> str:
        """Push manifests by their names; ``more`` is added to the project's configuration."""
        named = {f"manifests/{name}": text for name, text in files.items()}
        return self.repository.push_files({**config_files(AGENT, self.inside, more=more), **named})

    def announced(self) -> set[str]:
        """Return the reasons of the events on inventories in the namespace."""
        events = self.kube.get(f"/api/v1/namespaces/{self.inside}/events")["items"]
        return {one["reason"] for one in events if one["involvedObject"]["name"].startswith("inventory-")}

    def remove(self) -> None:
        """Take everything out of the cluster, without waiting for the namespaces' ends."""
        for one in self.objects:
            if one["kind"] in {"ClusterRole", "ClusterRoleBinding", "Namespace"}:
                self.kube.delete(path_of(one))
        self.kube.delete(f"/api/v1/namespaces/{self.inside}")


@contextmanager
def scoped(
    installation: Installation, cluster: ControlPlane, kube: Kube, directory: Path, *scope: str
) -> Iterator[Scoped]:
    agent = Scoped(installation, cluster, kube, directory, *scope)
    try:
        yield agent
    finally:
        agent.remove()


def everything_an_agent_does(agent: Scoped) -> list[dict[str, Any]]:
    """Create, see and put back drift, grant, prune; return the syncs that ended the two revisions."""
    first = agent.push({"a.yaml": config_map("a"), "b.yaml": config_map("b"), "role.yaml": ROLE})
    syncs = [agent.kas.wait_sync(AGENT, state="healthy", commit=first)]
    path = f"/api/v1/namespaces/{agent.inside}/configmaps"
    agent.kube.patch(f"{path}/a", {"data": {"value": "drifted"}})
    wait_until(lambda: agent.kube.get(f"{path}/a")["data"]["value"] == "1", what="drift is put back")
    second = agent.repository.push_removal("manifests/b.yaml")
    syncs.append(agent.kas.wait_sync(AGENT, state="healthy", commit=second))
    assert agent.kube.find(f"{path}/b") is None
    return syncs


@pytest.mark.parametrize("scope", [(), ("namespace=INSIDE",)], ids=["everywhere", "one namespace"])
def test_the_rights_are_enough_for_everything_an_agent_does(
    scope: tuple[str, ...], installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, *scope) as agent, agent.running():
        first, second = everything_an_agent_does(agent)

    assert first["counts"]["created"] == 3
    assert second["counts"]["pruned"] == 1


@pytest.mark.parametrize("verb", ["get", "list", "create", "update", "patch", "delete"])
def test_without_any_one_right_a_sync_fails_and_says_so(
    verb: str, installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent:
        agent.take_away(verb)
        first = agent.push({"a.yaml": config_map("a"), "b.yaml": config_map("b"), "role.yaml": ROLE})
        with agent.running():
            if verb == "delete":
                agent.kas.wait_sync(AGENT, state="healthy", commit=first)
                first = agent.repository.push_removal("manifests/b.yaml")
            sync = agent.kas.wait_sync(AGENT, state="failed", commit=first)

    # An agent that may not update may not give that right to others either.
    assert sync["reason"] == ("EscalationRefused" if verb == "update" else "Forbidden")
    assert "may not" in sync["message"] or "cannot" in sync["message"] or "forbidden" in sync["message"].lower()


def test_without_the_right_to_watch_the_log_says_what_goes_unseen(
    installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent:
        agent.take_away("watch")
        commit = agent.push({"a.yaml": config_map("a")})
        with agent.running() as process:
            agent.kas.wait_sync(AGENT, state="applied", commit=commit)
            wait_until(lambda: 'cannot watch resource \\"configmaps\\"' in process.log.read_text(), what="it is said")


@pytest.mark.parametrize("verb", ["get", "create", "patch"])
def test_without_any_one_right_on_leases_nothing_is_written_and_it_is_said_whom_to_grant_what(
    verb: str, installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent:
        agent.take_away(verb, of="leases")
        if verb == "patch":
            lease = {"metadata": {"name": agent.lease_name()}, "spec": {}}
            kube.create(f"/apis/coordination.k8s.io/v1/namespaces/{agent.home}/leases", lease)
        commit = agent.push({"a.yaml": config_map("a")})
        port = free_port()
        with agent.running("--observability-address", f"127.0.0.1:{port}") as process:
            sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit, reason="LeaseForbidden")
            log = process.log.read_text()
            status, body = fetch(port, "readiness")

        assert kube.find(f"/api/v1/namespaces/{agent.inside}/configmaps/a") is None
        assert f"cannot {verb} resource" in sync["message"]
        assert f"in namespace {agent.home}" in sync["message"]
        assert "gitlab-agent-leader-election" in sync["message"]
        assert "LeaseForbidden" in log
        assert (status, sync["message"] in json.loads(body)["message"]) == (503, True)
        assert "LeaseForbidden" in {event["reason"] for event in agent.kas.get("events", agent=AGENT)}


def test_without_the_right_to_watch_leases_the_log_says_that_taking_over_is_late(
    installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent:
        agent.take_away("watch", of="leases")
        commit = agent.push({"a.yaml": config_map("a")})
        with agent.running() as process:
            agent.kas.wait_sync(AGENT, state="healthy", commit=commit)
            wait_until(lambda: 'cannot watch resource \\"leases\\"' in process.log.read_text(), what="it is said")


def test_confined_to_namespaces_the_agent_is_refused_outside_and_says_so(
    installation: Installation, cluster: ControlPlane, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent, agent.running():
        commit = agent.push({"a.yaml": config_map("a"), "out.yaml": config_map("out", namespace=namespace)})
        sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit, reason="Forbidden")

        assert sync["counts"]["created"] == 1
        assert namespace in sync["message"]
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/out") is None


@pytest.mark.parametrize("where", [(), ("namespace=INSIDE",)], ids=["everywhere", "one namespace"])
def test_confined_to_kinds_the_agent_applies_those_and_is_refused_others(
    where: tuple[str, ...], installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "kinds=deployments.apps", *where) as agent, agent.running():
        commit = agent.push({"web.yaml": deployment("web", 0)})
        agent.kas.wait_sync(AGENT, state="healthy", commit=commit)
        wait_until(lambda: "Synced" in agent.announced(), what="an event says so")

        commit = agent.push({"role.yaml": ROLE})
        sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit, reason="Forbidden")
        assert "roles" in sync["message"].lower()


def test_an_agent_that_may_only_act_as_a_service_account_works_with_that_accounts_rights(
    installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "impersonate=INSIDE/deployer") as agent, agent.running():
        account = {"kind": "ServiceAccount", "name": "deployer", "namespace": agent.inside}
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}
        metadata = {"name": "deployer", "namespace": agent.inside}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"}
        rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
        tenant: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {**rbac, "kind": "Role", "rules": [rule]},
            {**rbac, "kind": "RoleBinding", "roleRef": reference, "subjects": [account]},
        ]
        apply(kube, tenant)
        impersonate = f"    impersonate: {{service_account: {agent.inside}/deployer}}\n"

        commit = agent.push({"a.yaml": config_map("a")}, more=impersonate)
        agent.kas.wait_sync(AGENT, state="healthy", commit=commit)
        wait_until(lambda: "Synced" in agent.announced(), what="an event says so")
        commit = agent.push({"web.yaml": deployment("web", 0)}, more=impersonate)
        sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit, reason="Forbidden")

        assert f"system:serviceaccount:{agent.inside}:deployer" in sync["message"]
