"""An agent's configuration on its way to the wire. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.holds import suspension_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kas.desired.agent_config import AgentConfig, ManifestProjectConfig
    from kas.store.records import HoldRecord

_LOG_LEVELS = {
    "debug": wire.LOG_LEVEL_DEBUG,
    "info": wire.LOG_LEVEL_INFO,
    "warn": wire.LOG_LEVEL_WARN,
    "error": wire.LOG_LEVEL_ERROR,
}
_DRY_RUN = {
    "none": wire.DRY_RUN_STRATEGY_NONE,
    "client": wire.DRY_RUN_STRATEGY_CLIENT,
    "server": wire.DRY_RUN_STRATEGY_SERVER,
}
_PROPAGATION = {
    "foreground": wire.PROPAGATION_POLICY_FOREGROUND,
    "background": wire.PROPAGATION_POLICY_BACKGROUND,
    "orphan": wire.PROPAGATION_POLICY_ORPHAN,
}
_INVENTORY = {
    "must_match": wire.INVENTORY_POLICY_MUST_MATCH,
    "adopt_if_no_inventory": wire.INVENTORY_POLICY_ADOPT_IF_NO_INVENTORY,
    "adopt_all": wire.INVENTORY_POLICY_ADOPT_ALL,
}
_DRIFT = {
    "correct": wire.DRIFT_POLICY_CORRECT,
    "report": wire.DRIFT_POLICY_REPORT,
    "ignore": wire.DRIFT_POLICY_IGNORE,
}
_CONFIRMATION = {
    "when_large": wire.PRUNE_CONFIRMATION_WHEN_LARGE,
    "always": wire.PRUNE_CONFIRMATION_ALWAYS,
    "never": wire.PRUNE_CONFIRMATION_NEVER,
}
_FROM_SECRETS = {
    "secrets_only": wire.MUTATION_FROM_SECRETS_SECRETS_ONLY,
    "any": wire.MUTATION_FROM_SECRETS_ANY,
}


def configuration_message(
    *,
    agent_id: int,
    agent_name: str,
    configuration_project: str,
    commit: str,
    config: AgentConfig,
    project_ids: Mapping[str, int],
    holding: Collection[HoldRecord] = (),
    former: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> wire.KasMessage:
    """Return what tells an agent its configuration.

    Args:
        agent_id: the agent.
        agent_name: its name.
        configuration_project: the path of its configuration project.
        commit: of the configuration.
        config: what it says.
        project_ids: has every project of it.
        holding: what people ordered besides.
        former: the paths that projects had before, of those that had any.
    """
    projects = [_project(project_ids[one.project], one, holding) for one in config.projects]
    for project in projects:
        project.former_paths.extend(former.get(project.path, ()))
    return wire.KasMessage(
        configuration=wire.Configuration(
            agent_id=agent_id,
            agent_name=agent_name,
            project=configuration_project,
            commit=commit,
            log_level=_LOG_LEVELS[config.log_level],
            projects=projects,
        )
    )


def _project(project_id: int, config: ManifestProjectConfig, holding: Collection[HoldRecord]) -> wire.ManifestProject:
    project = wire.ManifestProject(
        id=project_id,
        path=config.project,
        default_namespace=config.default_namespace,
        dry_run_strategy=_DRY_RUN[config.dry_run_strategy],
        prune=config.prune,
        prune_propagation_policy=_PROPAGATION[config.prune_propagation_policy],
        inventory_policy=_INVENTORY[config.inventory_policy],
        impersonate_user=config.impersonate_user,
        drift_policy=_DRIFT[config.drift],
        ignore=[
            wire.IgnoreRule(
                group=rule.group, kind=rule.kind, namespace=rule.namespace, name=rule.name, fields=rule.fields
            )
            for rule in config.ignore
        ],
        force_conflicts=config.force_conflicts,
        recreate=config.recreate,
        suspension=_suspension(project_id, config, holding),
        health=[
            wire.HealthRule(group=rule.group, kind=rule.kind, current=rule.current, failed=rule.failed)
            for rule in config.health
        ],
        prune_confirmation=_CONFIRMATION[config.prune_confirmation],
        prune_large_percent=config.prune_large_percent,
        allowed_namespaces=config.allowed_namespaces,
        confined=bool(config.allowed_namespaces),
        mutation_from_secrets=_FROM_SECRETS[config.mutation_from_secrets],
        inventory_namespace=config.inventory_namespace,
    )
    project.reconcile_timeout.FromMilliseconds(round(config.reconcile_timeout * 1000))
    project.prune_timeout.FromMilliseconds(round(config.prune_timeout * 1000))
    return project


def _suspension(
    project_id: int, config: ManifestProjectConfig, holding: Collection[HoldRecord]
) -> wire.Suspension | None:
    """Return what suspends a project: config.yaml before people, since only a commit ends that."""
    if config.suspend:
        return wire.Suspension()
    hold = suspension_of(project_id, holding)
    if hold is None:
        return None
    suspension = wire.Suspension(by=hold.by, reason=hold.reason)
    if hold.until is not None:
        suspension.until.FromDatetime(hold.until)
    return suspension
