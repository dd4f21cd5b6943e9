"""The command ``kas`` and its first subcommand, ``serve``; the others are one file a subject."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentlink import __version__
from agentlink.loading import loading
from kas.cli.agents import agent
from kas.cli.audit import audit
from kas.cli.check import check
from kas.cli.db import db
from kas.cli.diff import diff
from kas.cli.generate import generate
from kas.cli.get import events, get, tree
from kas.cli.login import login, logout
from kas.cli.options import Failure, examples
from kas.cli.project import project
from kas.cli.reconciling import confirm_prune, reconcile
from kas.cli.rolling import history, rollback
from kas.cli.suspending import resume, suspend
from kas.cli.tokens import token
from kas.cli.tokens_api import api_token
from kas.cli.waiting import wait


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 -- click calls it so
    if asked and not context.resilient_parsing:
        click.echo(f"kas {__version__}")
        context.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "kas serve --config kas.yaml",
        "kas agent create --project group/config --name my-agent",
        "kas token create --agent my-agent > token",
        "kas get agents",
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def main() -> None:
    """GitOps for GitLab and Kubernetes: run kas, register agents, see what runs in the clusters.

    Most commands talk to a running kas. KAS_ADDRESS says where it is, KAS_TOKEN or KAS_TOKEN_FILE which API token to
    use; without them what `kas login` remembered, and else the kas on this machine with the token that it wrote.
    """


@main.command(
    epilog=examples(
        "kas serve",
        "kas serve --config /etc/kas/kas.yaml",
        exit_codes="0 it was told to stop, 1 it cannot start or go on, 2 wrong usage",
    )
)
@click.option(
    "--config",
    metavar="FILE",
    envvar="KAS_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings, YAML; without it every setting has its default. [KAS_CONFIG]",
)
def serve(config: Path | None) -> None:
    """Run kas until it is told to stop (SIGTERM, Ctrl-C)."""
    # Loaded here: no other command needs the server, and it takes a while.
    with loading():
        from kas.app import StartError  # noqa: PLC0415 -- see above
        from kas.app import serve as serve_app  # noqa: PLC0415 -- see above
        from kas.settings import SettingsError, load_settings  # noqa: PLC0415 -- see above

    try:
        sys.exit(serve_app(load_settings(config)))
    except SettingsError as error:
        raise Failure(str(error), "every setting is described in docs/kas-settings.md") from error
    except StartError as error:
        raise Failure(f"kas cannot start: {error}") from error


OPERATING = (wait, diff, history, suspend, resume, reconcile, confirm_prune, rollback)

ADMINISTERING = (check, audit, db, project)

for command in (login, logout, agent, token, api_token, generate, get, tree, events, *OPERATING, *ADMINISTERING):
    main.add_command(command)
