"""An agent's config.yaml that is wrong, odd, missing or changed: the last good one stays in force, changes are live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.git_repository import GitRepository
    from tests.support.installation import Agent, Installation, Kas
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("configuration"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def neighbour(shared: Installation, kube: Kube, namespace: str) -> Driven:
    """A project of another agent, to which nothing may happen."""
    return drive(shared, kube, namespace, agent="neighbour", projects=("neighbour/project",))["project"]


class Configured:
    """An agent whose configuration project holds its manifests too, and the file that is being spoilt."""

    def __init__(self, installation: Installation, kube: Kube, namespace: str, name: str) -> None:
        self.kas: Kas = installation.kas
        self.name = name
        self.project = f"own/{name}"
        self.namespace = namespace
        self.repository: GitRepository = installation.git.create(self.project)
        self.good = config_files(name, namespace)
        self.path = next(iter(self.good))
        self.driven = Driven(self.kas, name, self.project, self.repository, kube, namespace)
        first = self.driven.push({**self.good, f"manifests/{name}.yaml": config_map(name)})
        self.agent: Agent = installation.agent(name, project=self.project)
        self.driven.wait("healthy", commit=first)

    def configure(self, text: str) -> str:
        """Push this as config.yaml."""
        return self.driven.push({self.path: text})

    def refused(self, reason: str, commit: str = "") -> dict[str, Any]:
        """Wait until the configuration is shown as failed."""
        sync = self.kas.wait_sync(self.name, state="failed", reason=reason, commit=commit)
        assert (sync["kind"], sync["ref"]) == ("configuration", "configuration")
        return sync

    def repaired(self) -> None:
        """Push the good one again, and see the failure go."""
        self.configure(self.good[self.path])
        wait_until(lambda: {s["kind"] for s in self.kas.syncs(self.name)} == {"revision"}, what="the failure is over")

    def still_syncs(self, value: str) -> None:
        """See that the last good configuration is in force for a newer revision."""
        commit = self.driven.push({f"manifests/{self.name}.yaml": config_map(self.name, value)})
        self.driven.wait("healthy", commit=commit)
        assert self.driven.value(self.name) == value


WRONG = {
    "typed": ("    paths:", "    prune: sometimes\n    paths:", "line 4: gitops.manifest_projects[0].prune"),
    "shaped": ("[{glob: '/manifests/**/*.yaml'}]", "all", "line 4: gitops.manifest_projects[0].paths"),
    "broken": ("gitops:\n", "gitops: [\n", "line "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_shown_with_its_line_and_the_last_good_one_stays_in_force(
    shared: Installation, kube: Kube, namespace: str, neighbour: Driven, name: str
) -> None:
    configured = Configured(shared, kube, namespace, name)
    right, wrong, where = WRONG[name]
    text = configured.good[configured.path]
    assert right in text

    bad = configured.configure(text.replace(right, wrong))
    sync = configured.refused("InvalidConfiguration", bad)

    assert f".gitlab/agents/{name}/config.yaml: {where}" in sync["message"]
    shown = shared.kas.cli("get", "syncs", "--agent", name, "-o", "json")
    assert f"config.yaml: {where}" in shown
    neighbour.goes_on()
    configured.still_syncs("2")
    configured.refused("InvalidConfiguration")
    configured.repaired()
    configured.still_syncs("3")


def test_the_last_good_configuration_stays_in_force_over_a_restart_of_kas(
    shared: Installation, kube: Kube, namespace: str, neighbour: Driven
) -> None:
    configured = Configured(shared, kube, namespace, "outlived")
    configured.configure("gitops: [")
    configured.refused("InvalidConfiguration")

    shared.kas.stop()
    shared.kas.start()

    wait_until(configured.agent.connected, what="the agent is back")
    configured.refused("InvalidConfiguration")
    configured.still_syncs("2")
    neighbour.goes_on()
    configured.repaired()
    configured.still_syncs("3")


def test_a_broken_configuration_does_not_leave_a_restarted_agent_with_nothing(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    configured = Configured(shared, kube, namespace, "restarted")
    configured.configure("gitops: [")
    configured.refused("InvalidConfiguration")

    configured.agent.stop()
    configured.agent.start()

    configured.still_syncs("2")


def test_an_unknown_key_is_a_warning_with_its_place_and_changes_nothing(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    configured = Configured(shared, kube, namespace, "odd")

    configured.configure(configured.good[configured.path].replace("    paths:", "    pathes: []\n    paths:"))
    warning = wait_until(
        lambda: next((e for e in shared.kas.get("events", agent="odd") if e["reason"] == "ConfigurationWarning"), None),
        what="the warning is shown",
    )
    assert warning is not None

    assert ".gitlab/agents/odd/config.yaml:4: gitops.manifest_projects[0].pathes: unknown key" in warning["message"]
    assert "ConfigurationWarning" in shared.kas.cli("events", "--agent", "odd")
    shown = shared.kas.wait_sync("odd", state="healthy", reason="ConfigurationWarning")
    assert "config.yaml:4: gitops.manifest_projects[0].pathes: unknown key" in shown["message"]
    assert "pathes: unknown key" in shared.kas.cli("get", "syncs", "--agent", "odd")
    configured.still_syncs("2")
    assert {sync["state"] for sync in shared.kas.syncs("odd")} == {"healthy"}

    configured.repaired()


def test_a_missing_configuration_says_which_file_to_create_and_is_taken_when_it_appears(
    shared: Installation, kube: Kube, namespace: str, neighbour: Driven
) -> None:
    repository = shared.git.create("own/missing")
    repository.push_files({"manifests/missing.yaml": config_map("missing")})
    shared.agent("missing", project="own/missing")
    sync = shared.kas.wait_sync("missing", state="failed", reason="ConfigurationMissing")
    assert ".gitlab/agents/missing/config.yaml does not exist in own/missing" in sync["message"]
    neighbour.goes_on()

    driven = Driven(shared.kas, "missing", "own/missing", repository, kube, namespace)
    commit = driven.push(config_files("missing", namespace))
    driven.wait("healthy", commit=commit)

    driven.remove(".gitlab")
    shared.kas.wait_sync("missing", state="failed", reason="ConfigurationMissing")
    commit = driven.push({"manifests/missing.yaml": config_map("missing", "2")})
    driven.wait("healthy", commit=commit)
    assert driven.value("missing") == "2"


def test_a_configuration_project_that_does_not_exist_is_named(shared: Installation) -> None:
    shared.agent("nowhere", project="own/nowhere")
    sync = shared.kas.wait_sync("nowhere", state="failed", reason="RepositoryNotFound")
    assert (sync["kind"], sync["project"]) == ("configuration", "own/nowhere")
    assert "own/nowhere" in sync["message"]
