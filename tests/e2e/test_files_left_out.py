"""A repository with every kind of file that is no manifest, under the default glob, syncs and says what it left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven
from tests.support.manifests import config_map

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
BESIDE = {
    ".gitlab-ci.yml": "stages: [test]\n",
    "docker-compose.yml": "services: {web: {image: nginx}}\n",
    ".yamllint.yaml": "extends: default\n",
    "package.json": '{"name": "app", "version": "1.0.0"}\n',
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": "replicas: 1\n",
    "chart/templates/web.yaml": TEMPLATE,
    "overlay/kustomization.yaml": "resources: [base.yaml]\nnamePrefix: prod-\n",
    "overlay/base.yaml": config_map("of-overlay"),
}
CONFIG = "gitops:\n  manifest_projects:\n  - default_namespace: {namespace}\n"


def test_it_syncs_says_what_it_left_out_and_never_prunes_for_a_typo(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    kas = installation.kas
    driven = Driven(kas, "whole", "group/whole", installation.git.create("group/whole"), kube, namespace)
    config = {".gitlab/agents/whole/config.yaml": CONFIG.format(namespace=namespace)}
    files = {**config, **BESIDE, **{f"{name}.yaml": config_map(name) for name in ("left-a", "left-b")}}
    first = driven.push(files)
    agent = installation.agent("whole", project="group/whole")
    assert driven.wait("healthy", commit=first)["counts"]["total"] == 2
    (event,) = [one for one in kas.get("events", agent="whole") if one["reason"] == "FilesLeftOut"]
    for path, what in (
        (".gitlab-ci.yml", "GitLab CI"),
        ("chart/templates/web.yaml", "the Helm chart chart/"),
        ("overlay/base.yaml", "the kustomization overlay/kustomization.yaml"),
        ("package.json", "neither apiVersion nor kind"),
    ):
        assert path in event["message"]
        assert what in event["message"]
    assert driven.value("of-overlay") is None

    # All that is wrong with a revision is told at once, with what to write.
    driven.push({"t.yaml": "a: {{ b }}\n", "half.yaml": "kind: ConfigMap\n"})
    said = driven.wait("failed")["message"]
    assert "t.yaml:1: looks like a template" in said
    assert "half.yaml:1: apiVersion is missing; to leave it out, exclude it" in said
    second = driven.push(
        {
            ".gitlab/agents/whole/config.yaml": f"{CONFIG.format(namespace=namespace)}"
            "    paths: [{glob: '/**/*.{yaml,yml,json}', exclude: [/t.yaml, /half.yaml]}]\n"
        }
    )
    driven.wait("healthy", commit=second)

    # A typo in what was a manifest is an error, also for a kas that has just started.
    typo = driven.push({"left-b.yaml": config_map("left-b").replace("apiVersion", "apVersion").replace("kind", "knd")})
    assert "left-b.yaml: was a manifest in the revision before" in driven.wait("failed", commit=typo)["message"]
    kas.stop()
    kas.start()
    agent.process.wait_until(agent.connected, what="it is connected again")
    driven.wait("failed", commit=typo, reason="ManifestLost")
    assert driven.value("left-b") == "1"
