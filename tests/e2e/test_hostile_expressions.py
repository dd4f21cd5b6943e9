"""Health expressions that blow up (row 11): named on their object, while the same agent's other projects go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

VALUES = ",".join(["1"] * 90)

RULE = (
    "    health:\n"
    f"    - {{kind: ConfigMap, current: 'size([{VALUES}].map(a, [{VALUES}].map(b, "
    "self.data.value + self.data.value + string(a) + string(b)))) > 0'}\n"
)
"""Takes gigabytes for an object of half a megabyte, well within the steps that an expression may take."""


def test_an_expression_that_blows_up_is_named_and_the_rest_goes_on(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    config = installation.git.create("config/agent")
    entries = config_files("agent", namespace, "hostile/project", more=RULE)
    path, text = next(iter(entries.items()))
    neighbours = config_files("agent", namespace, "quiet/project")[path].partition("manifest_projects:\n")[2]
    config.push_files({path: text + neighbours})
    hostile = Driven(
        installation.kas, "agent", "hostile/project", installation.git.create("hostile/project"), kube, namespace
    )
    quiet = Driven(
        installation.kas, "agent", "quiet/project", installation.git.create("quiet/project"), kube, namespace
    )
    hostile.push({"manifests/large.yaml": config_map("large", "a" * 500_000)})
    quiet.push({"manifests/small.yaml": config_map("small")})
    installation.agent("agent", project="config/agent")

    quiet.wait("healthy")
    hostile.wait("applied", reason="Progressing")
    wait_until(lambda: "cannot be used" in hostile.sync()["message"], what="the rule is named")

    sync = hostile.sync()
    assert "rule current for ConfigMap" in sync["message"]
    assert "not evaluated any more until agentk restarts" in sync["message"]
    quiet.goes_on()
    assert hostile.value("large") is not None


def test_an_expression_that_cannot_be_read_is_refused_with_file_and_line(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    repository = installation.git.create("group/config")
    driven = Driven(installation.kas, "reader", "group/config", repository, kube, namespace)
    first = driven.push({**config_files("reader", namespace), "manifests/a.yaml": config_map("a")})
    installation.agent("reader", project="group/config")
    driven.wait("healthy", commit=first)

    driven.push(config_files("reader", namespace, more="    health: [{kind: ConfigMap, current: 'self.data ='}]\n"))

    refused = installation.kas.wait_sync("reader", state="failed", reason="InvalidConfiguration")
    assert "health[0].current" in refused["message"]
    assert "line 1, column 11" in refused["message"]
    driven.goes_on()
