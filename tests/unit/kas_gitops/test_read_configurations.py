"""A configuration's content is read once for all agents that have the same, and what is kept is bounded."""

from __future__ import annotations

from agentlink.manifests.model import Limits
from kas.desired.agent_config import parse_agent_config
from kas.gitops.identify import ReadConfigurations


def test_what_was_read_is_given_to_everybody_of_the_same_project() -> None:
    known = ReadConfigurations()
    read = parse_agent_config(b"gitops: {manifest_projects: [{}]}", path="p", own_project="g/a", limits=Limits())
    known.put("content", "g/a", read)
    assert known.get("content", "g/a") is read
    assert known.get("other", "g/a") is None


def test_the_same_content_in_another_project_means_another_project() -> None:
    known = ReadConfigurations()
    for project in ("g/a", "g/b"):
        read = parse_agent_config(b"gitops: {manifest_projects: [{}]}", path="p", own_project=project, limits=Limits())
        known.put("content", project, read)
    kept = known.get("content", "g/b")
    assert kept is not None
    assert [project.project for project in kept[0].projects] == ["g/b"]


def test_the_one_that_was_wanted_longest_ago_goes() -> None:
    known = ReadConfigurations(2)
    read = parse_agent_config(b"", path="p", own_project="g/a", limits=Limits())
    known.put("first", "g/a", read)
    known.put("second", "g/a", read)
    assert known.get("first", "g/a") is read
    known.put("third", "g/a", read)
    assert known.get("second", "g/a") is None
    assert known.get("first", "g/a") is read
