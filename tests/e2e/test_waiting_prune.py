"""A prune that waits for a confirmation deletes nothing, and the status goes on saying so when the rest is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
def other_namespace(kube: Kube, namespace: str) -> Iterator[str]:
    """Where the project's objects are to be."""
    name = f"{namespace}-other"
    kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def test_a_large_prune_waits_and_is_named_beside_the_healthy_state(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    names = [f"map-{number}" for number in range(12)]
    files = {f"manifests/{name}.yaml": config_map(name) for name in names}
    first = repository.push_files({**config_files("careful", namespace), **files})
    installation.agent("careful", project="group/config")
    kas.wait_sync("careful", state="healthy", commit=first)

    second = repository.push_removal(*[f"manifests/{name}.yaml" for name in names[1:]])
    kas.webhook("group/config")
    sync = kas.wait_sync("careful", state="waiting", commit=second)

    assert sync["reason"] == "PruneNeedsConfirmation"
    assert "11 of 12 objects" in sync["message"]
    assert sync["counts"]["skipped"] == 11
    waited = kas.run_cli("wait", "group/config", "--commit", second, "--agent", "careful")
    assert (waited.returncode, "waiting, 12 (11 skipped)" in waited.stdout) == (1, True), waited.stdout
    assert kas.run_cli("wait", "group/config", "--commit", second, "--waiting-prune", "ignore").returncode == 0
    wait_until(lambda: kas.metric('kas_syncs{state="waiting"}') == 1, what="a metric counts it")
    events = [one for one in kas.get("events", agent="careful") if one["reason"] == "PruneNeedsConfirmation"]
    assert len(events) == 1
    assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/map-11") is not None

    third = repository.push_files(files)
    kas.webhook("group/config")
    assert kas.wait_sync("careful", state="healthy", commit=third)["reason"] == ""

    # The command that the message gives does what it says.
    fourth = repository.push_removal(*[f"manifests/{name}.yaml" for name in names[1:]])
    kas.webhook("group/config")
    command = kas.wait_sync("careful", state="waiting", commit=fourth)["message"].rpartition("`kas ")[2]
    kas.cli(*command.removesuffix("`").split(), "--yes")
    assert kas.wait_sync("careful", state="healthy", commit=fourth)["counts"]["pruned"] == 11


def test_what_leaves_because_the_configuration_changed_waits_however_little_it_is_and_the_key_is_named(
    installation: Installation, kube: Kube, namespace: str, other_namespace: str
) -> None:
    def there(name: str, where: str = namespace) -> bool:
        return kube.find(f"/api/v1/namespaces/{where}/configmaps/{name}") is not None

    # Kept in one place, so that it is known what was applied before.
    files = config_files("moved", namespace, more=f"    inventory_namespace: {namespace}\n")
    driven = Driven(installation.kas, "moved", "group/moved", installation.git.create("group/moved"), kube, namespace)
    first = driven.push(
        {
            **files,
            "manifests/a.yaml": config_map("moved-a"),
            "manifests/b.yaml": config_map("moved-b"),
            "manifests/sub/c.yaml": config_map("moved-c"),
        }
    )
    agent = installation.agent("moved", project="group/moved")
    driven.wait("healthy", commit=first)
    second = driven.remove("manifests/b.yaml")
    assert driven.wait("healthy", commit=second)["counts"]["pruned"] == 1, "what leaves Git does not wait"

    ((path, config),) = files.items()
    # The inventory remembers what selected its objects: another process knows what has changed.
    agent.stop()
    driven.push({path: config.replace("/manifests/**/*.yaml", "/manifests/*.yaml")})
    agent.start()
    waiting = driven.wait("waiting")
    assert "paths in config.yaml changed" in waiting["message"]
    assert there("moved-c")
    driven.push({path: config})
    driven.wait("healthy")
    driven.push({path: config.replace(f"default_namespace: {namespace}", f"default_namespace: {other_namespace}")})
    waiting = driven.wait("waiting")
    assert "default_namespace in config.yaml changed" in waiting["message"]
    assert there("moved-a")
    assert there("moved-a", other_namespace)
    driven.kas.cli("confirm-prune", driven.project, "--agent", "moved", "--yes")
    driven.wait("healthy")
    assert not there("moved-a")
