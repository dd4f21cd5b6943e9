"""Repositories that want out of themselves: by links, by paths, by a kubeconfig, by names that a shell would act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT = "outward"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("hostile"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def projects(shared: Installation, kube: Kube, namespace: str) -> dict[str, Driven]:
    """The projects of one agent; nothing may happen to the neighbour."""
    names = ("config/links", "config/shell", "config/neighbour")
    return drive(shared, kube, namespace, agent=AGENT, projects=names)


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "../../../../../../etc/hostname", "../.git/config", "..", "loop.yaml"]
)
def test_a_link_that_leaves_the_repository_or_leads_nowhere_is_refused_by_name(
    projects: dict[str, Driven], target: str
) -> None:
    links = projects["links"]
    link = links.repository.path / "manifests/loop.yaml"
    link.symlink_to(target)

    try:
        commit = links.push({"manifests/beside.yaml": config_map("beside", target.replace("/", "-"))})
        sync = links.wait("failed", commit=commit)
    finally:
        link.unlink()

    assert sync["reason"] == "SymlinkRefused"
    assert "manifests/loop.yaml" in sync["message"]
    assert links.value("beside") is None, "a part of a refused revision was applied"
    projects["neighbour"].goes_on()


WRONG_KEYS = {
    "a path outside": ("paths: [{glob: '../../etc/*'}]", "paths[0].glob"),
    "a path through the repository's own folder": ("paths: [{glob: '/manifests/../../x.yaml'}]", "paths[0].glob"),
    "a kubeconfig": (
        "kubeconfig: {users: [{user: {exec: {command: touch}}}]}\n    paths: [{glob: '/m/*'}]",
        "kubeconfig",
    ),
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_a_configuration_cannot_name_what_is_outside(
    shared: Installation, projects: dict[str, Driven], namespace: str, name: str
) -> None:
    """A kubeconfig is no key of a project: nothing reads it, and that is said with its place."""
    wrong, key = WRONG_KEYS[name]
    agent = f"wrong-{len(name)}"
    repository = shared.git.create(f"config/{agent}")
    good = config_files(agent, namespace)
    path, text = next(iter(good.items()))
    repository.push_files({path: text.replace("paths: [{glob: '/manifests/**/*.yaml'}]", wrong)})
    shared.agent(agent, project=f"config/{agent}")

    def told() -> bool:
        noted = [*shared.kas.syncs(agent), *shared.kas.get("events", agent=agent)]
        return any(f"4: gitops.manifest_projects[0].{key}" in one["message"] for one in noted)

    wait_until(told, what=f"{key} is named")
    projects["neighbour"].goes_on()


def test_names_and_values_that_a_shell_would_act_on_stay_texts(projects: dict[str, Driven], tmp_path: Path) -> None:
    shell = projects["shell"]
    witness = tmp_path / "witness"
    text = f"$(touch {witness}); `touch {witness}` | touch {witness} & ; ' \" \\n --upload-pack=touch"
    value = text.replace("'", "")
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: shell}}\nstringData:\n  value: {value!r}\n"
    file = "manifests/$(touch witness);`touch witness`&-rf --exec=touch.yaml"
    branch = "feature/$(touch${IFS}witness)"

    shell.repository.write({file: config_map("from-shell", "from-git"), "manifests/secret.yaml": secret})
    commit = shell.repository.commit(text)
    shell.repository.push("HEAD:refs/heads/main", f"HEAD:refs/heads/{branch}")
    shell.kas.webhook(shell.project)

    shell.wait("healthy", commit=commit)
    assert shell.value("from-shell") == "from-git"
    shown = shell.kas.run_cli("diff", shell.project, "--agent", AGENT, "--ref", branch)
    assert shown.returncode == 0, shown.stderr
    assert not witness.exists()
    assert not list(shell.kas.directory.rglob("witness"))
