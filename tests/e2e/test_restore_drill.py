"""kas' database is lost, and later restored from a backup of before, while agentk runs: every project stays itself.

This is the drill of docs/restore-drill.md.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Installation
from tests.support.manifests import config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.installation import Agent, Kas
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT, CONFIG = "drilled", "drill/config"


@pytest.fixture
def namespaces(kube: Kube, namespace: str) -> Iterator[tuple[str, str]]:
    """Two namespaces."""
    name = f"drill-{secrets.token_hex(4)}"
    kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield namespace, name
    kube.delete(f"/api/v1/namespaces/{name}")


def configuration(**namespaces: str) -> dict[str, str]:
    entries = "".join(
        f"  - id: drill/{name}\n    default_namespace: {namespace}\n    allowed_namespaces: [{namespace}]\n"
        f"    prune_confirmation: never\n    paths: [{{glob: '/manifests/**/*.yaml'}}]\n"
        for name, namespace in namespaces.items()
    )
    return {f".gitlab/agents/{AGENT}/config.yaml": f"gitops:\n  manifest_projects:\n{entries}"}


def register(kas: Kas, agent: Agent, *options: str) -> None:
    """Register the agent anew, and give its token to the process that runs."""
    kas.cli("agent", "create", "--project", CONFIG, "--name", AGENT, *options)
    agent.token_file.write_text(kas.cli("token", "create", "--agent", AGENT))


class Drill:
    """What two projects have in the cluster."""

    def __init__(self, kube: Kube, **namespaces: str) -> None:
        self._kube = kube
        self._namespaces = namespaces

    def maps(self, namespace: str) -> list[dict[str, Any]]:
        found = self._kube.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
        return [one for one in found if one["metadata"]["name"] != "kube-root-ca.crt"]

    def owned(self) -> dict[str, set[tuple[str, str, str]]]:
        """Return each namespace's objects, with UID and owning inventory."""
        key = "config.k8s.io/owning-inventory"
        return {
            name: {
                (one["metadata"]["name"], one["metadata"]["uid"], one["metadata"].get("annotations", {}).get(key, ""))
                for one in self.maps(namespace)
            }
            for name, namespace in self._namespaces.items()
        }

    def settled(self, kas: Kas, **commits: str) -> None:
        """Wait until both projects are healthy at these commits, with nothing failed or pruned on the way."""
        for name, commit in commits.items():
            counts = kas.wait_sync(AGENT, state="healthy", project=f"drill/{name}", commit=commit)["counts"]
            assert (counts["failed"], counts["pruned"], counts["skipped"]) == (0, 0, 0), (name, counts)


def test_projects_stay_themselves_when_the_database_is_lost_or_goes_back(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespaces: tuple[str, str]
) -> None:
    namespace, elsewhere = namespaces
    config = git_server.create(CONFIG)
    one, two = git_server.create("drill/one"), git_server.create("drill/two")
    first = one.push_files({"manifests/one.yaml": config_map("of-one"), "manifests/left.yaml": config_map("left")})
    second = two.push_files({"manifests/two.yaml": config_map("of-two")})
    config.push_files(configuration(one=namespace))
    drill = Drill(kube, one=namespace, two=elsewhere)
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as installation:
        kas = installation.kas
        agent = installation.agent(AGENT, project=CONFIG)
        drill.settled(kas, one=first)
        agent_id = str(kas.get("agents")[0]["id"])
        backup = tmp_path / "backup"
        kas.cli("db", "backup", "--config", str(kas.config), str(backup))
        of_before = agent.token_file.read_text(), kas.admin_token.read_text()
        config.push_files(configuration(one=namespace, two=elsewhere))
        kas.webhook(CONFIG)
        drill.settled(kas, one=first, two=second)
        before = drill.owned()
        assert [len(found) for found in before.values()] == [3, 2], before

        # What a kas that is away had confirmed goes on being enforced.
        kas.stop()
        path = f"/api/v1/namespaces/{namespace}/configmaps/of-one"
        kube.patch(path, {"data": {"value": "drifted"}})
        wait_until(lambda: kube.get(path)["data"]["value"] == "1", what="drift is put back without kas")

        # The database is lost; projects and agents come in another order than before.
        for file in (kas.directory / "data").glob("kas.db*"):
            file.unlink()
        kas.admin_token.unlink()
        config.push_files(configuration(two=elsewhere, one=namespace))
        kas.start()
        kas.post("agents", {"project": "drill/two", "name": "somebody"})
        register(kas, agent, "--id", agent_id)
        drill.settled(kas, one=first, two=second)
        assert drill.owned() == before
        assert agent.process.exit_code is None, "it is the same process, with what it held"

        # It goes back to the time before one of the projects.
        kas.stop()
        kas.cli("db", "restore", "--config", str(kas.config), "--force", str(backup))
        agent.token_file.write_text(of_before[0])
        kas.admin_token.write_text(of_before[1])
        kas.start()
        drill.settled(kas, one=first, two=second)
        assert drill.owned() == before

        # An agent that is deleted and made anew is the same one to what it owns.
        kas.cli("agent", "delete", AGENT, "--yes")
        register(kas, agent)
        drill.settled(kas, one=first, two=second)
        assert drill.owned() == before

        # And life goes on: what leaves one project's Git leaves the cluster, and nothing else does.
        last = one.push_removal("manifests/left.yaml")
        kas.webhook("drill/one")
        assert kas.wait_sync(AGENT, state="healthy", project="drill/one", commit=last)["counts"]["pruned"] == 1
        after = drill.owned()
        assert {name for name, _, _ in before["one"] - after["one"]} == {"left"}
        assert after["two"] == before["two"]


def test_a_project_that_was_renamed_is_itself_as_soon_as_somebody_says_so(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    config, old = git_server.create(CONFIG), git_server.create("drill/one")
    files = {"manifests/one.yaml": config_map("of-one"), "manifests/left.yaml": config_map("left")}
    first = old.push_files(files)
    config.push_files(configuration(one=namespace))
    drill = Drill(kube, one=namespace)
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as installation:
        kas = installation.kas
        installation.agent(AGENT, project=CONFIG)
        drill.settled(kas, one=first)
        before = drill.owned()

        moved = git_server.create("drill/Moved")
        second = moved.push_files({"manifests/one.yaml": config_map("of-one")})
        config.push_files(configuration(Moved=namespace))
        kas.webhook(CONFIG)
        said = kas.wait_sync(AGENT, state="failed", project="drill/Moved", reason="OwnedByAnotherInventory")["message"]
        assert drill.owned() == before
        assert "of project drill/one of agent drill/config:drilled" in said
        assert "adopt_all" not in said

        # What the message says is done as it stands there.
        command = said.partition("run `kas ")[2].partition("`")[0].split()
        assert command == ["project", "rename", "drill/one", "drill/Moved"]
        assert kas.run_cli(*command, "--config", str(kas.config)).returncode != 0, "kas runs"
        kas.stop()
        assert "drill/Moved" in kas.cli(*command, "--config", str(kas.config))
        kas.start()
        counts = kas.wait_sync(AGENT, state="healthy", project="drill/Moved", commit=second)["counts"]
        assert (counts["pruned"], counts["failed"]) == (1, 0), "what left Git with the move goes, as ever"
        after = drill.owned()["one"]
        assert after < before["one"]
        assert {name for name, _, _ in before["one"] - after} == {"left"}
        assert [sync["project"] for sync in kas.syncs(AGENT)] == ["drill/Moved"], "with its history"
