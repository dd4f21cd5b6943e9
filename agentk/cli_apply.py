"""The command ``agentk apply``: its options, and nothing of what they do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from agentk.apply.model import DryRun, InventoryPolicy, ProjectSettings, PruneConfirmation, SecretTargets
from agentk.cli_options import context_option, kubeconfig_option
from agentlink.durations import parse_duration
from agentlink.loading import loading

APPLY_EXAMPLES = """\b
Examples:
  agentk apply manifests/
  agentk apply -n team-a --prune --inventory web --wait deploy/ extra.yaml
  helm template web ./chart | agentk apply --dry-run server -

\b
Exit codes: 0 everything was applied (and with --wait is healthy), 1 something was not, 2 wrong usage
or manifests that cannot be read, 130 interrupted.
"""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,42}[a-z0-9])?")
"""Leaves room for what the labels of the inventory's ConfigMaps put around it."""


def _duration(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter("expected at most 44 lower-case letters, digits and '-', not at the ends")
    return value


@click.command(epilog=APPLY_EXAMPLES)
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    metavar="DIR|FILE|-…",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
)
@kubeconfig_option
@context_option
@click.option(
    "--namespace",
    "-n",
    default="default",
    show_default=True,
    callback=_name,
    metavar="NAME",
    help="For objects that name none, and for the inventory.",
)
@click.option(
    "--inventory",
    default="default",
    show_default=True,
    callback=_name,
    metavar="NAME",
    help="Remembers what was applied under this name in the namespace.",
)
@click.option("--prune", is_flag=True, help="Delete what the inventory remembers and the manifests no longer hold.")
@click.option("--yes", is_flag=True, help="Prune also where that is more than half, or takes data along.")
@click.option(
    "--adopt",
    type=click.Choice([policy.value for policy in InventoryPolicy]),
    default=InventoryPolicy.ADOPT_IF_NO_INVENTORY.value,
    show_default=True,
    help="Which objects that exist already may be taken over.",
)
@click.option("--force-conflicts", is_flag=True, help="Take fields over that other appliers (Flux, Argo CD) own.")
@click.option(
    "--recreate",
    is_flag=True,
    help="Delete and create again what cannot be changed in place and holds no data.",
)
@click.option(
    "--mutation-from-secrets",
    type=click.Choice([one.value for one in SecretTargets]),
    default=SecretTargets.SECRETS_ONLY.value,
    show_default=True,
    help="Which objects may be filled from Secrets.",
)
@click.option(
    "--dry-run", type=click.Choice([one.value for one in DryRun]), default="none", show_default=True, help="Only try."
)
@click.option("--wait", is_flag=True, help="Wait until every object is healthy.")
@click.option("--timeout", default="5m", show_default=True, callback=_duration, metavar="DURATION", help="For --wait.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def apply(
    context_: click.Context,
    *,
    sources: tuple[Path, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str,
    inventory: str,
    prune: bool,
    yes: bool,
    adopt: str,
    force_conflicts: bool,
    recreate: bool,
    mutation_from_secrets: str,
    dry_run: str,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Apply manifests with the agent's engine, and no kas.

    Server-side, in order and side by side: namespaces and definitions first, what depends on another after it. An
    inventory in the cluster remembers what was applied, so that --prune deletes exactly what has left.
    """
    if prune and context_.get_parameter_source("inventory") is not ParameterSource.COMMANDLINE:
        raise click.UsageError("--prune deletes what an inventory remembers: name it with --inventory")
    if yes and not prune:
        raise click.UsageError("--yes confirms a prune: give --prune with it")
    # Loaded here: --help and --version need none of it.
    with loading():
        from agentk.standalone.command import run as run_apply  # noqa: PLC0415 - see above
        from agentk.standalone.run import OWNER, Options, inventory_id  # noqa: PLC0415 - see above

    settings = ProjectSettings(
        project_id=OWNER,
        path=inventory,
        inventory_id=inventory_id(inventory, namespace),
        default_namespace=namespace,
        dry_run=DryRun(dry_run),
        prune=prune,
        inventory_policy=InventoryPolicy(adopt),
        reconcile_timeout=timeout,
        prune_timeout=timeout,
        force_conflicts=force_conflicts,
        recreate=recreate,
        mutation_from_secrets=SecretTargets(mutation_from_secrets),
        prune_confirmation=PruneConfirmation.NEVER if yes else PruneConfirmation.WHEN_LARGE,
    )
    options = Options(settings, kubeconfig, context, wait=timeout if wait else None)
    sys.exit(run_apply(sources, options, output=output))
