from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentk.apply.rules.rival import LockHolder, judge

REGISTRY = "registry.gitlab.com/gitlab-org/cluster-integration/gitlab-agent"


def pod(image: str = "", phase: str = "Running", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"image": image}] if image else []},
        "status": {"phase": phase},
    }


OLD = pod(f"{REGISTRY}/agentk:v16.5.0")
AT_WORK = LockHolder("gitlab-agent", "agent-7-lock", "gitlab-agent-0", OLD, may_write=True)


@pytest.mark.parametrize(
    ("running", "harm"),
    [
        (OLD, True),
        (pod("agentk:16.11.4@sha256:0123"), True),
        (pod("mirror.example.com:5000/gitlab/agentk:v15.0.0-rc1"), True),
        (pod(f"{REGISTRY}/agentk:v17.0.0"), False),
        (pod(f"{REGISTRY}/agentk:v18.2.1@sha256:0123"), False),
        (pod(f"{REGISTRY}/agentk@sha256:0123"), True),
        (pod(f"{REGISTRY}/agentk@sha256:0123", **{"app.kubernetes.io/version": "v17.9.2"}), False),
        (pod("mirror/tools:latest", **{"app.kubernetes.io/version": "v16.1.0"}), True),
        (pod(f"{REGISTRY}/agentk:v16.5.0", "Succeeded"), False),
        (pod(f"{REGISTRY}/agentk:v16.5.0", "Failed"), False),
        (pod(f"{REGISTRY}/agentk:v16.5.0", "Pending"), True),
        ({"spec": {"containers": "x"}, "metadata": {"labels": []}, "status": 1}, True),
    ],
)
def test_what_still_does_gitops_is_told_by_its_version_and_what_cannot_be_told_is_taken_for_it(
    running: dict[str, Any], *, harm: bool
) -> None:
    rival = judge(replace(AT_WORK, pod=running))
    assert (rival is not None) is harm
    assert rival is None or rival.certain


@pytest.mark.parametrize(
    "holder",
    [
        replace(AT_WORK, identity=""),
        replace(AT_WORK, may_write=False),
        replace(AT_WORK, harmless=True),
    ],
)
def test_nobody_is_feared_who_has_no_lease_or_may_not_write_or_is_said_to_be_harmless(holder: LockHolder) -> None:
    assert judge(holder) is None


def test_who_may_write_is_certain_else_it_is_only_told() -> None:
    for holder in (replace(AT_WORK, may_write=None), replace(AT_WORK, may_write=None, pod=None)):
        rival = judge(holder)
        assert rival is not None
        assert not rival.certain
        assert "may be at work" in rival.why.message


def test_the_refusal_names_the_pod_the_lease_and_each_way_out() -> None:
    rival = judge(AT_WORK)
    assert rival is not None
    assert rival.why.reason == "GitlabAgentAtWork"
    for told in (
        "agentk 16 is at work",
        "pod gitlab-agent/gitlab-agent-0",
        "kubectl --namespace gitlab-agent get deployments",
        "helm --namespace gitlab-agent list",
        "kubectl --namespace gitlab-agent annotate lease agent-7-lock agentk.io/gitops=none",
    ):
        assert told in rival.why.message
