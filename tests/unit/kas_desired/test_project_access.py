"""Which projects a configuration may name: a table."""

from __future__ import annotations

import pytest

from agentlink.manifests.model import Limits
from kas.desired.agent_config import parse_agent_config
from kas.desired.project_access import OWN_GROUP, ProjectAccess, held_to

PATH = ".gitlab/agents/a/config.yaml"


@pytest.mark.parametrize(
    ("own", "project", "more", "allowed"),
    [
        # By itself: the own top-level group, and nothing else.
        ("alpha/config", "alpha/config", {}, True),
        ("alpha/config", "alpha/app", {}, True),
        ("alpha/config", "alpha/team/app", {}, True),
        ("alpha/team/config", "alpha/app", {}, True),
        ("alpha/config", "ALPHA/App", {}, True),
        ("Alpha/config", "alpha/app", {}, True),
        ("alpha/config", "alpha2/app", {}, False),
        ("alpha/config", "alph/app", {}, False),
        ("alpha/config", "beta/alpha/app", {}, False),
        ("alpha/config", "beta/app", {}, False),
        ("alpha/config", "alpha", {}, True),
        ("alpha/config", "app", {}, False),
        ("config", "config", {}, True),
        ("config", "CONFIG", {}, True),
        ("config", "config/app", {}, False),
        ("config", "app", {}, False),
        # What kas.yaml adds.
        ("alpha/config", "beta/app", {"alpha/config": ("beta/app",)}, True),
        ("alpha/config", "Beta/App", {"Alpha/Config": ("bETA/aPP",)}, True),
        ("alpha/config", "beta/other", {"alpha/config": ("beta/app",)}, False),
        ("alpha/config", "beta/app2", {"alpha/config": ("beta/app",)}, False),
        ("alpha/config", "beta/team/app", {"alpha/config": ("beta",)}, True),
        ("alpha/config", "beta2/app", {"alpha/config": ("beta",)}, False),
        ("alpha/config", "beta/app", {"alpha": ("beta/app",)}, True),
        ("alpha/team/config", "beta/app", {"alpha": ("beta/app",)}, True),
        ("alpha2/config", "beta/app", {"alpha": ("beta/app",)}, False),
        ("gamma/config", "beta/app", {"alpha": ("beta/app",)}, False),
        ("beta/app", "alpha/config", {"alpha/config": ("beta/app",)}, False),
        ("config", "beta/app", {"config": ("beta/app",)}, True),
        ("alpha/config", "beta/app", {"alpha/config": ("gamma",), "alpha": ("beta",)}, True),
        ("alpha/config", "beta/app", {"alpha/config": ()}, False),
        # Everything, on either side.
        ("alpha/config", "beta/app", {"alpha/config": ("*",)}, True),
        ("gamma/config", "beta/app", {"alpha/config": ("*",)}, False),
        ("gamma/config", "shared/app", {"*": ("shared",)}, True),
        ("gamma/config", "beta/app", {"*": ("shared",)}, False),
        ("config", "app", {"*": ("*",)}, True),
    ],
)
def test_what_may_be_named(own: str, project: str, more: dict[str, tuple[str, ...]], *, allowed: bool) -> None:
    assert ProjectAccess(more).allows(own, project) == allowed


def test_what_is_refused_is_left_out_and_said_with_its_place_and_who_can_allow_it() -> None:
    text = "gitops:\n  manifest_projects:\n  - id: alpha/app\n  - paths: []\n    id: beta/app\n  - {}\n"
    config, _ = parse_agent_config(text.encode(), path=PATH, own_project="alpha/config", limits=Limits())

    held, (refused,) = held_to(OWN_GROUP, config, own_project="alpha/config", path=PATH)

    assert [one.project for one in held.projects] == ["alpha/app", "alpha/config"]
    assert refused.config.project == "beta/app"
    assert str(refused) == (
        f"{PATH}:5: gitops.manifest_projects[1].id: alpha/config may not read beta/app, which is outside its top-level "
        "group alpha; nothing of it is fetched for this agent or sent to it. If it may be read, kas' operator writes "
        "into kas.yaml, and starts kas again: project_access: {alpha/config: [beta/app]}"
    )
    assert held_to(ProjectAccess({"*": ("*",)}), config, own_project="alpha/config", path=PATH) == (config, ())


def test_a_project_without_a_group_has_no_neighbours() -> None:
    text = "gitops: {manifest_projects: [{id: app}]}"
    config, _ = parse_agent_config(text.encode(), path=PATH, own_project="config", limits=Limits())
    held, (refused,) = held_to(OWN_GROUP, config, own_project="config", path=PATH)
    assert held.projects == ()
    assert "outside itself: it is in no group" in refused.message
