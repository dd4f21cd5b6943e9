"""A commit that changes one file among many: only that is looked at, and everything else stays right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.git_server import GitServer
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

FILES = 40


def test_a_small_commit_is_applied_counted_and_what_drifts_or_leaves_afterwards_is_seen(
    installation: Installation, git_server: GitServer, kube: Kube, namespace: str
) -> None:
    repository = git_server.create("group/narrow")
    files = {f"manifests/{number:02}.yaml": config_map(f"narrow-{number:02}") for number in range(FILES)}
    commit = repository.push_files({**config_files("narrow", namespace), **files})
    agent = installation.agent("narrow", project="group/narrow")
    kas = installation.kas
    kas.wait_sync("narrow", state="healthy", commit=commit)

    def value(number: int) -> str | None:
        found = kube.find(f"/api/v1/namespaces/{namespace}/configmaps/narrow-{number:02}")
        return found["data"]["value"] if found else None

    for turn in ("2", "3"):
        changed = {"manifests/07.yaml": config_map("narrow-07", turn)}
        new = {f"manifests/new-{turn}.yaml": config_map(f"narrow-9{turn}")}
        commit = repository.push_files(changed | new)
        kas.webhook("group/narrow")
        sync = kas.wait_sync("narrow", state="healthy", commit=commit)
        assert value(7) == turn
        counts = {name: sync["counts"][name] for name in ("total", "created", "configured", "unchanged", "failed")}
        total = FILES + int(turn) - 1
        assert counts == {"total": total, "created": 1, "configured": 1, "unchanged": total - 2, "failed": 0}

    kube.patch(f"/api/v1/namespaces/{namespace}/configmaps/narrow-07", {"data": {"value": "by hand"}})
    wait_until(lambda: value(7) == "3", what="the object of the small commit is put back")
    kube.delete(f"/api/v1/namespaces/{namespace}/configmaps/narrow-11")
    wait_until(lambda: value(11) == "1", what="an object that no commit touched is put back")

    commit = repository.push_removal("manifests/07.yaml")
    kas.webhook("group/narrow")
    kas.wait_sync("narrow", state="healthy", commit=commit)
    assert value(7) is None

    agent.stop()
    agent.start()
    commit = repository.push_files({"manifests/08.yaml": config_map("narrow-08", "4")})
    kas.webhook("group/narrow")
    kas.wait_sync("narrow", state="healthy", commit=commit)
    assert value(8) == "4"
