"""One agent's token takes its own share of kas' disk and time, and no more; who does what it is for notices nothing."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from typing import TYPE_CHECKING

import pytest

from agentk.gitops.link import LinkError
from agentlink.v1 import agentlink_pb2 as wire
from tests.e2e.test_reports_of_strangers import report, sent
from tests.support.agent_link import agent
from tests.support.git_server import GitServer
from tests.support.installation import Kas
from tests.support.manifests import config_files, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.agent_link import Agent

GROUP = "flooded/config"
MIBIBYTE = 1024**2
NAMES = ("flood", "fast", "other", "whole")


@pytest.fixture(scope="module")
def kas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kas]:
    """One kas for the tests of this file, with a burst that a test can use up; each has an agent of its own."""
    folder = tmp_path_factory.mktemp("share")
    with GitServer(folder / "git") as git:
        files = {path: text for name in NAMES for path, text in config_files(name, "default").items()}
        objects = {f"manifests/{number}.yaml": config_map(f"o-{number}") for number in range(20)}
        git.create(GROUP).push_files({**files, **objects})
        running = Kas(folder / "kas", git.template, settings="reports: {rate: 2MiB, burst: 24MiB}\n")
        running.start()
        try:
            yield running
        finally:
            running.stop()


def registered(kas: Kas, name: str) -> str:
    """Register an agent; return a token of it."""
    kas.cli("agent", "create", "--project", GROUP, "--name", name)
    return kas.cli("token", "create", "--agent", name).strip()


def outcomes(header: wire.SnapshotHeader, *names: str, message: str = "") -> wire.ReportRequest:
    """Return a batch about ConfigMaps of these names."""
    said = wire.OutcomesReport(sync_id=header.sync_id, project_id=header.project_id)
    for name in names:
        ref = wire.ObjectRef(kind="ConfigMap", namespace="default", name=name)
        said.outcomes.add(object=ref, result=wire.RESULT_CREATED, message=message, path=message)
    return wire.ReportRequest(reports=[report(f"{names[0]}-outcomes", outcomes=said)])


async def until_taken(played: Agent, request: wire.ReportRequest) -> int:
    """Report as agentk does, again and again until kas has taken it; return how often it had not."""
    for attempt in range(600):
        try:
            await played.link.report(request)
        except LinkError as error:
            assert "more is reported with this token" in str(error)  # noqa: PT017 - what else it says is a failure
            await asyncio.sleep(0.1)
        else:
            return attempt
    raise AssertionError("kas never took it")


def stored_bytes(kas: Kas) -> int:
    """Return what the database takes on disk."""
    return sum(file.stat().st_size for file in (kas.directory / "data").glob("kas.db*"))


async def test_objects_without_end_are_stored_as_far_as_the_project_can_have_them(kas: Kas) -> None:
    token = registered(kas, "flood")
    before = stored_bytes(kas)
    async with agent(kas.address, token) as flood:
        header = await sent(kas, "flood", flood)
        for begin in range(0, 5000, 250):
            names = [f"o-{number}" for number in range(begin, begin + 250)]
            await until_taken(flood, outcomes(header, *names, message="x" * 1500))
        await until_taken(flood, outcomes(header, "o-0", message="still told"))

    tree = json.loads(kas.cli("tree", "--agent", "flood", "-o", "json"))
    (project,) = tree["projects"]
    # Twice what was sent, those to spare, and those that come before it is counted.
    assert 250 <= len(project["objects"]) <= 2 * 20 + 1000 + 250
    assert next(one["message"] for one in project["objects"] if one["object"]["name"] == "o-0") == "still told"
    assert stored_bytes(kas) - before < 16 * MIBIBYTE
    told = [event["message"] for event in kas.get("events", agent="flood") if event["reason"] == "ReportRefused"]
    assert len(told) == 1
    assert "reports.spare_objects" in told[0]
    audited = [line for line in json.loads(kas.cli("audit", "-o", "json"))["items"] if line["action"] == "agent.report"]
    assert [line["outcome"] for line in audited] == ["refused"]


async def test_a_token_that_sends_without_end_is_slowed_down_and_loses_nothing_and_others_are_not(kas: Kas) -> None:
    fast_token, other_token = registered(kas, "fast"), registered(kas, "other")
    async with agent(kas.address, fast_token) as fast, agent(kas.address, other_token) as other:
        header, others = await sent(kas, "fast", fast), await sent(kas, "other", other)
        event = wire.EventReport(sync_id=header.sync_id, project_id=header.project_id, message="x" * 3 * MIBIBYTE)
        refused = 0
        for number in range(12):
            refused += await until_taken(fast, wire.ReportRequest(reports=[report(f"e-{number}", event=event)]))
            assert await until_taken(other, outcomes(others, f"other-{number}")) == 0
    assert refused
    told = [one for one in kas.get("events", agent="fast", limit="1000") if one["source"] == "agentk"]
    assert len(told) == 12


async def test_the_pages_of_a_tree_are_the_whole_of_it(kas: Kas) -> None:
    token = registered(kas, "whole")
    async with agent(kas.address, token) as whole:
        header = await sent(kas, "whole", whole)
        await whole.link.report(outcomes(header, *(f"o-{number}" for number in range(20))))
    first = kas.get("tree", agent="whole", limit="7")
    seen, cursor = [one["object"]["name"] for one in first["projects"][0]["objects"]], first["next"]
    assert len(seen) == 7
    while cursor:
        page = kas.get("tree", agent="whole", limit="7", cursor=cursor)
        seen += [one["object"]["name"] for one in page["projects"][0]["objects"]]
        cursor = page["next"]
    command = json.loads(kas.cli("tree", "--agent", "whole", "-o", "json"))
    assert seen == [one["object"]["name"] for one in command["projects"][0]["objects"]]
    assert sorted(seen) == sorted(f"o-{number}" for number in range(20))
    with pytest.raises(urllib.error.HTTPError) as refused:
        kas.get("tree", agent="whole", cursor="x")
    refused.value.close()
    assert refused.value.code == 400
