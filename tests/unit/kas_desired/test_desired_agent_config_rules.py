"""What config.yaml says beyond GitLab's keys, on its way to the agent: read here, sent, and read there again."""

from __future__ import annotations

import pytest

from agentk.apply.identity import Identity
from agentk.apply.model import (
    DriftPolicy,
    DryRun,
    HealthRule,
    IgnoreRule,
    InventoryPolicy,
    ProjectSettings,
    Propagation,
    PruneConfirmation,
    SecretTargets,
    Suspension,
)
from agentk.apply.rules.confine import refuse_place
from agentk.gitops.receive import configured_of
from agentlink.manifests.model import Limits
from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.agent_config import ConfigError, parse_agent_config
from kas.gitops.configuration import configuration_message

PATH = ".gitlab/agents/a/config.yaml"


def settings_of(text: str) -> ProjectSettings:
    """Return what agentk makes of one entry, after both programs and the wire."""
    data = f"gitops: {{manifest_projects: [{{{text}}}]}}".encode()
    config, warnings = parse_agent_config(data, path=PATH, own_project="group/config", limits=Limits())
    assert warnings == ()
    message = configuration_message(
        agent_id=7,
        agent_name="a",
        configuration_project="group/config",
        commit="c",
        config=config,
        project_ids={"group/config": 3},
    )
    read = wire.KasMessage.FromString(message.SerializeToString())
    (settings,) = configured_of(read.configuration).projects
    return settings


def test_what_is_not_said_is_the_careful_default() -> None:
    identity = Identity("group/config", "group/config", "a")
    assert settings_of("ref: {branch: main}") == ProjectSettings(3, "group/config", "7-3", identity=identity)


def test_every_rule_arrives_as_it_was_written() -> None:
    settings = settings_of(
        "drift: report, force_conflicts: true, recreate: true, suspend: true, prune_confirmation: always, "
        "prune_large_percent: 20, allowed_namespaces: [team-a, team-b], "
        "mutation_from_secrets: any, "
        "ignore: [{kind: Deployment, group: apps, namespace: team-a, name: web, fields: [/spec/replicas]}, "
        "{fields: [/metadata/annotations/example.com~1seen]}], "
        "health: [{group: example.com, kind: Widget, current: 'self.status.ok', failed: 'has(self.status.bad)'}]"
    )
    assert settings.drift is DriftPolicy.REPORT
    assert settings.force_conflicts
    assert settings.recreate
    assert settings.suspension == Suspension()
    assert settings.prune_confirmation is PruneConfirmation.ALWAYS
    assert settings.prune_large_percent == 20
    assert settings.allowed_namespaces == ("team-a", "team-b")
    assert settings.mutation_from_secrets is SecretTargets.ANY
    assert settings.ignore == (
        IgnoreRule(("/spec/replicas",), "Deployment", "apps", "team-a", "web"),
        IgnoreRule(("/metadata/annotations/example.com~1seen",)),
    )
    assert settings.health_rules == (HealthRule("example.com", "Widget", "self.status.ok", "has(self.status.bad)"),)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("drift: later", "drift"),
        ("suspend: 'yes'", "suspend"),
        ("prune_confirmation: sometimes", "prune_confirmation"),
        ("prune_large_percent: 0", "prune_large_percent"),
        ("prune_large_percent: '50'", "prune_large_percent"),
        ("allowed_namespaces: [UPPER]", "allowed_namespaces[0]"),
        ("mutation_from_secrets: everywhere", "mutation_from_secrets"),
        ("mutation_from_secrets: true", "mutation_from_secrets"),
        ("ignore: [{kind: Deployment, fields: []}]", "ignore[0].fields"),
        ("ignore: [{fields: [spec/replicas]}]", "ignore[0].fields[0]"),
        ("ignore: [{fields: [/spec/~2]}]", "ignore[0].fields[0]"),
        ("ignore: [{fields: [/kind]}]", "ignore[0].fields[0]"),
        ("ignore: [{fields: [/metadata/name]}]", "ignore[0].fields[0]"),
        ("ignore: [{kind: 'no kind', fields: [/spec]}]", "ignore[0].kind"),
        ("health: [{kind: Widget}]", "health[0]"),
        ("health: [{kind: Widget, group: example.com/v1, current: 'true'}]", "health[0].group"),
        (f"health: [{{kind: Widget, current: '{'a' * 4097}'}}]", "health[0].current"),
        ("health: [{kind: Widget, current: 'self.status.phase ='}]", "health[0].current"),
        ("health: [{kind: Pod, failed: 'true'}, {kind: Widget, current: 'true', failed: '1 + 1'}]", "health[1].failed"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_key(text: str, key: str) -> None:
    data = f"gitops: {{manifest_projects: [{{{text}}}]}}".encode()
    with pytest.raises(ConfigError) as caught:
        parse_agent_config(data, path=PATH, own_project="group/config", limits=Limits())
    assert [finding.key for finding in caught.value.findings] == [f"gitops.manifest_projects[0].{key}"]


def test_an_expression_that_cannot_be_read_is_refused_with_line_and_place() -> None:
    text = """\
gitops:
  manifest_projects:
  - health:
    - kind: Widget
      current: |-
        self.status.phase == "Ready" &&
        object.status.ready
"""
    with pytest.raises(ConfigError) as caught:
        parse_agent_config(text.encode(), path=PATH, own_project="group/config", limits=Limits())
    (finding,) = caught.value.findings
    assert (finding.key, finding.line) == ("gitops.manifest_projects[0].health[0].current", 5)
    assert "expected a CEL expression over self: line 2, column 14: undeclared reference to 'object" in finding.message


NEWER = 99
"""A value of a kas that is newer than this agentk."""


def received(**said: object) -> ProjectSettings:
    """Return what agentk makes of what a kas of another version may say."""
    project = wire.ManifestProject(id=3, path="p", **said)  # type: ignore[arg-type]
    (settings,) = configured_of(wire.Configuration(agent_id=7, projects=[project])).projects
    return settings


def test_a_policy_of_a_newer_kas_counts_as_the_one_that_does_the_least() -> None:
    settings = received(
        drift_policy=NEWER,
        prune_confirmation=NEWER,
        dry_run_strategy=NEWER,
        inventory_policy=NEWER,
        prune_propagation_policy=NEWER,
    )
    assert (settings.drift, settings.prune_confirmation) == (DriftPolicy.REPORT, PruneConfirmation.ALWAYS)
    assert (settings.dry_run, settings.inventory_policy) == (DryRun.CLIENT, InventoryPolicy.MUST_MATCH)
    assert settings.propagation is Propagation.ORPHAN


@pytest.mark.parametrize(("said", "percent"), [(0, 50), (1, 1), (100, 100), (101, 1), (4_000_000_000, 1)])
def test_a_share_that_cannot_be_counts_as_the_smallest(said: int, percent: int) -> None:
    assert received(prune_large_percent=said).prune_large_percent == percent


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ({}, True),
        ({"confined": True}, False),
        ({"allowed_namespaces": ["b"]}, False),
        ({"allowed_namespaces": ["b"], "confined": True}, False),
        ({"allowed_namespaces": ["a"], "confined": True}, True),
    ],
)
def test_who_is_confined_and_has_lost_where_to_may_have_objects_nowhere(
    said: dict[str, object], *, allowed: bool
) -> None:
    namespaces = received(**said).allowed_namespaces
    assert (refuse_place(ObjectRef("", "ConfigMap", "a", "x"), namespaces) is None) == allowed
    assert (refuse_place(ObjectRef("", "Namespace", "", "x"), namespaces) is None) == (said == {})
