"""Suspending and resuming: what the agent is told, what people see, what the audit log keeps."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kas.gitops.outbox import Outbox
from tests.integration.kas_operations.conftest import APP, CONFIG, NAME
from tests.support.manifests import config_files
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import pytest

    from agentlink.v1 import agentlink_pb2 as wire
    from kas.store.records import HoldRecord
    from tests.integration.kas_operations.conftest import Kas


async def test_a_connected_agent_is_told_at_once_and_everybody_sees_it(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
        assert agent.suspension is None

        done = await kas.cli("suspend", APP, "--agent", NAME, "--reason", "database migration")
        assert (done.code, done.err) == (0, "")
        assert done.out == f"project {APP} on agent {NAME} suspended by alice: database migration\n"
        await eventually(lambda: agent.suspension is not None, what="the suspension")
        assert agent.suspension is not None
        assert (agent.suspension.by, agent.suspension.reason) == ("alice", "database migration")

        table = await kas.cli("get", "syncs")
        assert "received,suspended" in table.out
        assert "suspended by alice: database migration" in table.out
        assert "suspended by alice" in (await kas.cli("tree", "--agent", NAME)).out
        sync = (await kas.cli_json("get", "syncs"))["items"][0]
        assert (sync["suspension"]["by"], sync["suspension"]["scope"], sync["pin"]) == ("alice", "project", None)

        resumed = await kas.cli("resume", APP, "--agent", NAME)
        assert (resumed.code, resumed.out) == (0, f"project {APP} on agent {NAME} resumed\n")
        await eventually(lambda: agent.suspension is None, what="the end of the suspension")
        again = await kas.cli("resume", APP, "--agent", NAME)
        assert again.code == 1
        assert f"project {APP} on agent {NAME} is not suspended by anybody" in again.err
    assert [line.action for line in await kas.store.audit.list()] == ["project.suspend", "project.resume"]


async def test_a_suspension_comes_before_the_first_configuration_of_an_agent_that_connects(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
    done = await kas.cli("suspend", "--agent", NAME)
    assert done.out == f"agent {NAME} with all its projects suspended by alice\n"
    assert "is not connected: until it connects it goes on" in done.err

    async with kas.played() as agent:
        first = agent.configurations[0].projects[0]
        assert first.HasField("suspension")
        assert first.suspension.by == "alice"
        assert "connected,suspended" in (await kas.cli("get", "agents")).out


async def test_an_agent_gets_no_configuration_before_it_is_known_what_holds(
    kas: Kas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
    await kas.cli("suspend", APP, "--agent", NAME)
    kas.publisher.holds._known.clear()
    asked = kas.store.holds.in_force

    sent = asyncio.Event()
    configure = Outbox.configure

    def told(outbox: Outbox, message: wire.KasMessage) -> None:
        sent.set()
        configure(outbox, message)

    async def slowly(agent_id: int | None = None) -> tuple[HoldRecord, ...]:
        # Long enough for a configuration that does not wait, which has only a mirror to read.
        with suppress(TimeoutError):
            await asyncio.wait_for(sent.wait(), 1)
        return await asked(agent_id)

    monkeypatch.setattr(Outbox, "configure", told)
    monkeypatch.setattr(kas.store.holds, "in_force", slowly)
    async with kas.played() as agent:
        assert agent.configurations[0].projects[0].HasField("suspension")


async def test_a_suspension_ends_by_itself_and_the_agent_is_told_without_knowing_the_time(kas: Kas) -> None:
    async with kas.played() as agent:
        done = await kas.cli("suspend", APP, "--agent", NAME, "--for", "2s")
        assert "until 20" in done.out
        await eventually(lambda: agent.suspension is not None, what="the suspension")
        await eventually(lambda: agent.suspension is None, what="its end")
    assert await kas.store.holds.in_force() == ()


async def test_what_config_yaml_suspends_no_command_resumes(kas: Kas) -> None:
    kas.config.push_files(config_files(NAME, "demo", APP, more="    suspend: true\n"))
    async with kas.played() as agent:
        await eventually(lambda: agent.suspension is not None, what="the suspension of config.yaml")
        assert agent.suspension is not None
        assert agent.suspension.by == ""
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
        await kas.cli("suspend", APP, "--agent", NAME)
        resumed = await kas.cli("resume", APP, "--agent", NAME)
        assert resumed.code == 0
        assert "note: config.yaml says suspend: true" in resumed.err
        again = await kas.cli("resume", APP, "--agent", NAME)
        assert (again.code, "config.yaml says suspend: true" in again.err) == (1, True)
        assert agent.suspension is not None


async def test_what_cannot_be_is_refused_with_what_to_do(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
        agent_path = f"agents/{kas.agent.id}"
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        for body, said in (
            ({"project": APP, "until": past}, "a time to come"),
            ({"project": APP, "until": "2030-01-01"}, "a time to come"),
            ({"project": APP, "seconds": -1}, "above 0"),
            ({"project": APP, "seconds": 5, "until": "2030-01-01T00:00Z"}, "exclude each other"),
            ({"project": APP, "reason": "x\x1b[31m"}, "printable"),
            ({"projekt": APP}, "unknown key"),
        ):
            answer = await kas.call("POST", f"{agent_path}/suspend", body, status=400)
            assert said in answer["error"]["message"], body
        missing = await kas.cli("suspend", "group/other", "--agent", NAME)
        assert missing.code == 1
        assert f"agent {NAME} has no manifest project 'group/other'" in missing.err
        assert f"its configuration names: {APP}" in missing.err
        assert (await kas.cli("suspend", APP, "--agent", NAME, "--until", "tomorrow")).code == 2
        assert (await kas.cli("suspend", APP, "--agent", NAME, "--for", "2 weeks")).code == 2
    assert await kas.store.holds.in_force() == ()


async def test_reading_does_not_order_and_a_maintainer_orders_in_their_own_project_only(kas: Kas) -> None:
    async with kas.played() as agent:
        await eventually(lambda: bool(agent.received), what="the first revision")
        await kas.synced(agent.commit)
        path = f"agents/{kas.agent.id}"
        reader, maintainer = await kas.token("read"), await kas.token("maintainer", "group")
        stranger = await kas.token("maintainer", "elsewhere")
        for order, body in (
            ("suspend", {"project": APP}),
            ("resume", {"project": APP}),
            ("pin", {"project": APP, "to": agent.commit}),
            ("unpin", {"project": APP}),
            ("reconcile", {"projects": [APP]}),
            ("confirm-prune", {"project": APP, "digest": "0" * 32}),
            ("diff", {"project": APP}),
        ):
            refused = await kas.call("POST", f"{path}/{order}", body, secret=reader, status=403)
            assert refused["error"]["reason"] == "Forbidden"
            await kas.call("POST", f"{path}/{order}", body, secret=stranger, status=404)
        await kas.call("GET", f"history?agent={NAME}&project={APP}", secret=reader)
        await kas.call("GET", f"history?agent={NAME}&project={APP}", secret=stranger, status=404)
        await kas.call("POST", f"{path}/suspend", {"project": APP}, secret=maintainer)
    lines = await kas.store.audit.list()
    assert [(line.action, line.outcome) for line in lines if line.outcome == "refused"] == [
        *(("project.suspend", "refused"), ("project.resume", "refused"), ("project.pin", "refused")),
        *(("project.unpin", "refused"), ("project.reconcile", "refused")),
        *(("project.confirm-prune", "refused"), ("project.diff", "refused")),
    ]
    assert lines[0].project == CONFIG
