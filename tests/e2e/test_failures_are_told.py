"""What an agent could not do is told with the server's reason: in the sync, on the object, and as an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def test_an_immutable_field_is_an_error_that_names_it_while_the_rest_goes_on(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    first = repository.push_files(
        {**config_files("told", namespace), "manifests/fixed.yaml": config_map("fixed") + "immutable: true\n"}
    )
    installation.agent("told", project="group/config")
    kas.wait_sync("told", state="healthy", commit=first)

    second = repository.push_files(
        {
            "manifests/fixed.yaml": config_map("fixed", "2") + "immutable: true\n",
            "manifests/beside.yaml": config_map("beside"),
        }
    )
    kas.webhook("group/config")

    sync = kas.wait_sync("told", state="failed", commit=second)
    assert sync["reason"] == "ImmutableField"
    assert "immutable" in sync["message"]
    assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/beside")
    events = wait_until(
        lambda: [one for one in kas.get("events", agent="told", type="Warning") if one["reason"] == "ImmutableField"],
        what="the failure is an event",
    )
    assert "immutable" in events[0]["message"]
