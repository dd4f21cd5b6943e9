"""What an agent is told of being suspended: config.yaml before people, and the longest of what these said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.agent_config import AgentConfig, ManifestProjectConfig
from kas.gitops.configuration import configuration_message
from kas.store.records import HoldKind, HoldRecord

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BY_ALICE = HoldRecord(1, 5, 7, HoldKind.SUSPENSION, "alice", "freeze", AT, until=AT + timedelta(hours=1))
WHOLE_AGENT = HoldRecord(2, 5, None, HoldKind.SUSPENSION, "bob", "", AT)
PIN = HoldRecord(3, 5, 7, HoldKind.PIN, "alice", "", AT, commit="a" * 40)


def told(*holding: HoldRecord, suspend: bool = False) -> list[wire.Suspension | None]:
    config = AgentConfig((ManifestProjectConfig("group/app", suspend=suspend), ManifestProjectConfig("group/other")))
    message = configuration_message(
        agent_id=5,
        agent_name="a",
        configuration_project="group/config",
        commit="c",
        config=config,
        project_ids={"group/app": 7, "group/other": 8},
        holding=holding,
    )
    projects = message.configuration.projects
    return [project.suspension if project.HasField("suspension") else None for project in projects]


def test_a_suspension_is_told_with_who_why_and_until_when() -> None:
    suspension, other = told(BY_ALICE, PIN)
    assert suspension is not None
    assert (suspension.by, suspension.reason) == ("alice", "freeze")
    assert suspension.until.ToDatetime(tzinfo=UTC) == AT + timedelta(hours=1)
    assert other is None


def test_a_whole_agent_is_suspended_in_each_of_its_projects() -> None:
    assert [suspension.by for suspension in told(BY_ALICE, WHOLE_AGENT) if suspension] == ["bob", "bob"]


def test_what_config_yaml_says_is_nobodys_order() -> None:
    suspension, _ = told(BY_ALICE, suspend=True)
    assert suspension == wire.Suspension()
    assert told(PIN) == [None, None]
