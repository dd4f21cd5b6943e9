"""Callers at the agents' door who are not who they say: refused, audited, slowed down, and nobody else notices."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentlink.address import parse_kas_address
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc.refusals import REFUSALS_AT_ONCE
from tests.support.agent_link import agent
from tests.support.git_server import GitServer
from tests.support.installation import Kas
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNTOUCHED = ("id", "state", "commit", "reason", "message", "counts", "updated_at")


@pytest.fixture
def kas(tmp_path: Path) -> Iterator[Kas]:
    """A running kas with a Git server, on which agents a and b have the same project."""
    with GitServer(tmp_path / "git") as git:
        files = {**config_files("a", "default"), **config_files("b", "default"), "manifests/x.yaml": config_map("x")}
        git.create("group/config").push_files(files)
        running = Kas(tmp_path / "kas", git.template)
        running.start()
        try:
            yield running
        finally:
            running.stop()


def registered(kas: Kas, name: str) -> str:
    """Register an agent; return a token of it."""
    kas.cli("agent", "create", "--project", "group/config", "--name", name)
    return kas.cli("token", "create", "--agent", name).strip()


def ids_of_connections(kas: Kas, name: str) -> list[str]:
    """Return the connections of an agent."""
    return [one["id"] for listed in kas.get("agents") if listed["name"] == name for one in listed["connections"]]


def refusals(kas: Kas) -> list[dict[str, str]]:
    """Return the audit log's lines about agents that were refused."""
    return [line for line in json.loads(kas.cli("audit", "-o", "json"))["items"] if line["action"] == "agent.connect"]


async def attempt(kas: Kas, token: str, transport: str) -> grpc.StatusCode:
    """Ask who one is with a token; return how it was refused."""
    port = {"ws": kas.websocket_port, "grpc": kas.grpc_port}[transport]
    async with open_channel(parse_kas_address(f"{transport}://127.0.0.1:{port}"), token, None) as channel:
        try:
            stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
            await stub.Identify(wire.IdentifyRequest(), metadata=channel.metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def test_what_one_agent_says_in_anothers_name_changes_nothing_of_the_others(kas: Kas) -> None:
    token_a, token_b = registered(kas, "a"), registered(kas, "b")
    async with agent(kas.address, token_b, instance_id="pod") as b:

        def sync_of_b() -> str:
            headers = [message.snapshot_header for message in b.received if message.HasField("snapshot_header")]
            return headers[0].sync_id if headers else ""

        sync_id = str(await eventually(sync_of_b, what="b is sent its project"))
        (before,) = await eventually(lambda: kas.syncs("b"), what="kas has noted it")
        connections = ids_of_connections(kas, "b")

        async with agent(kas.address, token_a, instance_id="pod") as a:
            await a.link.wait_connected()
            said = wire.SyncReport(
                sync_id=sync_id, project_id=before["project_id"], commit="0" * 40, state=wire.SYNC_STATE_HEALTHY
            )
            report = wire.Report(id="r", sync=said)
            report.at.GetCurrentTime()
            await a.link.report(wire.ReportRequest(reports=[report]))

            (after,) = kas.syncs("b")
            assert {key: after[key] for key in UNTOUCHED} == {key: before[key] for key in UNTOUCHED}
            assert ids_of_connections(kas, "b") == connections != []
            # Nor is it a sync of a's own: a was sent another of its own.
            assert sync_id not in {sync["id"] for sync in kas.syncs("a", all="1")}
            refused = [
                line for line in json.loads(kas.cli("audit", "-o", "json"))["items"] if line["outcome"] == "refused"
            ]
            assert [(line["action"], ":a " in line["subject"]) for line in refused] == [("agent.report", True)]


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_a_mistyped_truncated_or_replayed_token_opens_nothing_and_is_audited(kas: Kas, transport: str) -> None:
    token = registered(kas, "a")
    assert await attempt(kas, token, transport) is grpc.StatusCode.OK
    (token_id,) = [one["id"] for one in json.loads(kas.cli("token", "list", "--agent", "a", "-o", "json"))["items"]]
    kas.cli("token", "revoke", str(token_id))

    admin = (kas.directory / "data" / "admin-token").read_text().strip()
    for wrong in (token, token[:-1], token.swapcase(), "x", admin):
        assert await attempt(kas, wrong, transport) is grpc.StatusCode.UNAUTHENTICATED

    lines = await eventually(lambda: found if len(found := refusals(kas)) == 5 else None, what="all are audited")
    assert lines is not None
    assert {(line["outcome"], line["peer"]) for line in lines} == {("refused", "127.0.0.1")}
    # The revoked one was somebody's.
    assert [line["project"] for line in lines] == ["group/config", "", "", "", ""]
    for text in (json.dumps(lines), kas.log.read_text(), json.dumps(kas.get("events"))):
        assert token[:-1] not in text
        assert admin not in text


async def test_guessing_is_slowed_down_kept_short_in_the_audit_log_and_no_trouble_for_others(kas: Kas) -> None:
    token = registered(kas, "a")
    guesses = [await attempt(kas, f"glagent-{secrets.token_urlsafe(40)}", "grpc") for _ in range(REFUSALS_AT_ONCE + 5)]

    assert guesses[:REFUSALS_AT_ONCE] == [grpc.StatusCode.UNAUTHENTICATED] * REFUSALS_AT_ONCE
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in guesses[REFUSALS_AT_ONCE:]
    assert await attempt(kas, token, "grpc") is grpc.StatusCode.OK
    await eventually(lambda: len(refusals(kas)) >= REFUSALS_AT_ONCE, what="they are audited")
    assert len(refusals(kas)) < len(guesses)
