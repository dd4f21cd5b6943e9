"""A configuration's content is read once for all agents that have the same, and what is kept is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from agentlink.manifests.model import Limits
from kas.desired.agent_config import ConfigError, parse_agent_config
from kas.desired.project_access import OWN_GROUP
from kas.gitops.identify import ReadConfigurations, config_path, read_configuration
from kas.rpc.sessions import AgentIdentity

if TYPE_CHECKING:
    from kas.git.mirrors import Mirrors


def test_what_was_read_is_given_to_everybody_of_the_same_project() -> None:
    known = ReadConfigurations()
    read = parse_agent_config(b"gitops: {manifest_projects: [{}]}", path="p", own_project="g/a", limits=Limits())
    known.put("content", "g/a", read, 10)
    assert known.get("content", "g/a") is read
    assert known.get("other", "g/a") is None


def test_the_same_content_in_another_project_means_another_project() -> None:
    known = ReadConfigurations()
    for project in ("g/a", "g/b"):
        read = parse_agent_config(b"gitops: {manifest_projects: [{}]}", path="p", own_project=project, limits=Limits())
        known.put("content", project, read, 10)
    kept = known.get("content", "g/b")
    assert isinstance(kept, tuple)
    assert [project.project for project in kept[0].projects] == ["g/b"]


def test_the_one_that_was_wanted_longest_ago_goes() -> None:
    known = ReadConfigurations(2048)
    read = parse_agent_config(b"", path="p", own_project="g/a", limits=Limits())
    known.put("first", "g/a", read, 10)
    known.put("second", "g/a", read, 10)
    assert known.get("first", "g/a") is read
    known.put("third", "g/a", read, 10)
    assert known.get("second", "g/a") is None
    assert known.get("first", "g/a") is read


@dataclass(frozen=True)
class _File:
    object_id: str
    size: int


class _Mirror:
    """Has one file at every path, in every project and commit, and counts how often it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def mirror(self, _: str) -> _Mirror:
        return self

    async def blob_at(self, _commit: str, _path: str) -> _File:
        return _File("content", len(self.data))

    async def blobs(self, ids: list[str]) -> dict[str, bytes]:
        self.reads += 1
        return dict.fromkeys(ids, self.data)


async def test_what_cannot_be_used_is_read_once_and_said_to_each_agent_with_its_own_path() -> None:
    known, mirror = ReadConfigurations(), _Mirror(b"gitops: {manifest_projects: [{prune: perhaps}]}")
    for name in ("a", "b", "a"):
        with pytest.raises(ConfigError, match="prune") as error:
            await read_configuration(
                cast("Mirrors", mirror),
                AgentIdentity(1, name, "g/a", 1),
                "0" * 40,
                Limits(),
                access=OWN_GROUP,
                known=known,
            )
        assert str(error.value).startswith(f"{config_path(name)}: line 1: ")
    assert mirror.reads == 1


def test_large_files_take_the_room_of_many_small_ones() -> None:
    known = ReadConfigurations(300_000)
    read = parse_agent_config(b"", path="p", own_project="g/a", limits=Limits())
    for number in range(10):
        known.put(str(number), "g/a", read, 100_000)
    assert sum(known.get(str(number), "g/a") is not None for number in range(10)) == 3
