"""What an agent says of what it was never sent: not stored, audited, and opens nothing to anybody."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.store.derived import derived_id
from tests.support.agent_link import agent
from tests.support.git_server import GitServer
from tests.support.installation import Kas
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.agent_link import Agent

MINE, THEIRS = "mine/config", "theirs/app"


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Two groups: one with the agents of these tests, and one with a project that is nothing to them."""
    with GitServer(tmp_path_factory.mktemp("git")) as server:
        names = ("liar", "late", "odd", "honest")
        files = {path: text for name in names for path, text in config_files(name, "default").items()}
        server.create(MINE).push_files({**files, "manifests/x.yaml": config_map("x")})
        server.create(THEIRS).push_files({**config_files("theirs", "default"), "manifests/y.yaml": config_map("y")})
        yield server


@pytest.fixture(scope="module")
def kas(tmp_path_factory: pytest.TempPathFactory, git: GitServer) -> Iterator[Kas]:
    """One kas for the tests of this file; each has an agent of its own."""
    running = Kas(tmp_path_factory.mktemp("kas"), git.template)
    running.start()
    try:
        running.cli("agent", "create", "--project", THEIRS, "--name", "theirs")
        yield running
    finally:
        running.stop()


def registered(kas: Kas, name: str) -> str:
    """Register an agent; return a token of it."""
    kas.cli("agent", "create", "--project", MINE, "--name", name)
    return kas.cli("token", "create", "--agent", name).strip()


async def sent(kas: Kas, name: str, played: Agent) -> wire.SnapshotHeader:
    """Wait until an agent was sent its project, and kas has noted it."""

    def header() -> wire.SnapshotHeader | None:
        headers = [message.snapshot_header for message in played.received if message.HasField("snapshot_header")]
        return headers[0] if headers else None

    found = await eventually(header, what=f"{name} is sent its project")
    assert found is not None
    await eventually(lambda: kas.syncs(name), what="kas has noted it")
    return found


def report(identifier: str, **said: Any) -> wire.Report:  # noqa: ANN401 - the members of the message
    """Return a report made now."""
    made = wire.Report(id=identifier, **said)
    made.at.GetCurrentTime()
    return made


def all_about(project_id: int, sync_id: str, commit: str, name: str) -> list[wire.Report]:
    """Return one report of each kind about a project."""
    outcome = wire.ObjectOutcome(
        object=wire.ObjectRef(kind="ConfigMap", namespace="default", name=name), result=wire.RESULT_CREATED
    )
    healthy = wire.SyncReport(sync_id=sync_id, project_id=project_id, commit=commit, state=wire.SYNC_STATE_HEALTHY)
    return [
        report(f"{name}-sync", sync=healthy),
        report(
            f"{name}-outcomes", outcomes=wire.OutcomesReport(sync_id=sync_id, project_id=project_id, outcomes=[outcome])
        ),
        report(
            f"{name}-event",
            event=wire.EventReport(sync_id=sync_id, project_id=project_id, type="Normal", reason="Said", message=name),
        ),
    ]


def bound(kas: Kas) -> str:
    """Make an API token that sees what the group of these tests' agents has, and nothing else."""
    return str(kas.post("api-tokens", {"name": "bound", "role": "read", "project": "mine"})["secret"])


def ask(kas: Kas, secret: str, path: str, **query: str) -> tuple[int, str]:
    """Ask the API with a token; return status and body."""
    url = f"{kas.api}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {secret}"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def audited(kas: Kas, name: str) -> list[dict[str, Any]]:
    """Return the lines of the audit log about what an agent reported."""
    lines = json.loads(kas.cli("audit", "-o", "json"))["items"]
    return [line for line in lines if line["action"] == "agent.report" and f":{name} " in line["subject"]]


async def test_reports_about_a_project_that_was_never_sent_open_nothing_of_it_and_the_others_are_stored(
    kas: Kas,
) -> None:
    token, reader = registered(kas, "liar"), bound(kas)
    async with agent(kas.address, token) as liar:
        mine = await sent(kas, "liar", liar)
        for repeated in range(3):
            # Ids follow from paths: whoever knows these knows them.
            strange = all_about(derived_id(THEIRS), "1" * 32, "a" * 40, "stolen")
            proper = all_about(mine.project_id, mine.sync_id, mine.commit, f"mine-{repeated}")
            await liar.link.report(wire.ReportRequest(reports=[*strange, *proper]))

    (sync,) = kas.syncs("liar")
    assert (sync["project"], sync["commit"], sync["state"]) == (MINE, mine.commit, "healthy")
    for path, query in (
        ("syncs", {"agent": "liar", "all": "1"}),
        ("tree", {"agent": "liar"}),
        ("events", {"agent": "liar"}),
        ("agents", {}),
    ):
        status, text = ask(kas, reader, path, **query)
        assert (status, THEIRS in text, "stolen" in text) == (200, False, False), text
    for path in ("syncs", "tree", "events", "history"):
        assert ask(kas, reader, path, agent="liar", project=THEIRS)[0] == 404
    (liar_id,) = (one["id"] for one in kas.get("agents") if one["name"] == "liar")
    assert ask(kas, reader, f"agents/{liar_id}/overtaken", project=THEIRS, commit="a" * 40)[0] == 404

    tree = json.loads(ask(kas, reader, "tree", agent="liar")[1])
    names = {one["object"]["name"] for project in tree["projects"] for one in project["objects"]}
    assert names == {"mine-0", "mine-1", "mine-2"}
    told = [event["message"] for event in kas.get("events", agent="liar") if event["reason"] == "ReportRefused"]
    assert len(told) == 1, told
    (line,) = audited(kas, "liar")
    assert (line["outcome"], line["project"]) == ("refused", MINE)


async def test_a_report_about_what_was_sent_before_a_kill_is_stored_by_the_next_kas(kas: Kas) -> None:
    token = registered(kas, "late")
    async with agent(kas.address, token) as late:
        header = await sent(kas, "late", late)
    kas.kill()
    kas.start()
    async with agent(kas.address, token) as late:
        await late.link.wait_connected()
        reports = all_about(header.project_id, header.sync_id, header.commit, "late")
        await late.link.report(wire.ReportRequest(reports=reports))
    (sync,) = kas.syncs("late")
    assert sync["state"] == "healthy"
    assert audited(kas, "late") == []


@pytest.mark.parametrize(
    "commit",
    ["--upload-pack=touch stolen", "-h", "HEAD", "main", "refs/heads/main", "a" * 39, "A" * 40, "a" * 64 + "\n"],
)
async def test_what_is_no_commit_id_is_taken_from_no_agent_and_reaches_no_git(kas: Kas, commit: str) -> None:
    if not [one for one in kas.get("agents") if one["name"] == "odd"]:
        (kas.directory / "odd").write_text(registered(kas, "odd"))
    token = (kas.directory / "odd").read_text()
    async with agent(kas.address, token) as odd:
        header = await sent(kas, "odd", odd)
        reports = all_about(header.project_id, "5" * 32, commit, "odd")
        await odd.link.report(wire.ReportRequest(reports=reports[:1]))

    assert {sync["commit"] for sync in kas.syncs("odd", all="1")} == {header.commit}
    (odd_id,) = (one["id"] for one in kas.get("agents") if one["name"] == "odd")
    asked = ask(kas, bound(kas), f"agents/{odd_id}/overtaken", project=MINE, commit=header.commit)
    assert (asked[0], json.loads(asked[1])["by"]) == (200, "")
