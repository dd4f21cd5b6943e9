"""``kas token``: the secrets that agents connect with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from kas.cli import views
from kas.cli.agents import find_agent
from kas.cli.options import agent_option, examples, no_headers_option, output_option, with_client
from kas.cli.showing import Listing, document, show
from kas.cli.tokens_admin import create_admin_token
from kas.cli.tokens_api import Life

if TYPE_CHECKING:
    from datetime import timedelta

    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.payloads import CreatedToken, Token


@click.group()
def token() -> None:
    """Make tokens for agents, list them, revoke them."""


@token.command(
    "create",
    epilog=examples(
        "(umask 077; kas token create --agent my-agent > token)",
        'kas token create --agent group/config:my-agent --name "cluster west"',
        'kubectl create secret generic agentk-token --from-literal=token="$(kas token create --agent my-agent)"',
        "kas token create --admin --config /etc/kas/kas.yaml",
    ),
)
@agent_option(required=False)
@click.option("--admin", is_flag=True, help="Not for an agent: an administrator's API token, made in kas' database.")
@click.option("--name", metavar="TEXT", default="", help="What to call it in lists.")
@click.option("--description", metavar="TEXT", default="", help="What it is for.")
@click.option(
    "--expires", metavar="TIME", type=Life(), help="With --admin: how long it lives: 12h, 30d, 8w. [default: for ever]"
)
@click.option(
    "--config",
    metavar="FILE",
    envvar="KAS_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --admin: the settings of kas, which say where the database is. [KAS_CONFIG]",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    envvar="KAS_DATA_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --admin: kas' folder, if the settings do not say it. [KAS_DATA_DIR]",
)
@output_option
@with_client
def create(
    client: Client,
    *,
    agent: str | None,
    admin: bool,
    name: str,
    description: str,
    expires: timedelta | None,
    config: Path | None,
    data_dir: Path | None,
    output: Output,
) -> None:
    """Make a token and print its secret, once; kas keeps only a hash.

    With --admin it is an API token for a person who has none: it is written into the database of kas on this machine,
    whether kas runs or not. All other API tokens are made with `kas api-token create`.

    Standard output carries the secret alone (all else goes to standard error), so that it can go into a file or a pipe.
    An agent may have several tokens at once: make a new one, bring it to the agent, revoke the old one.
    """
    if admin == (agent is not None):
        raise click.UsageError("give either --agent or --admin")
    if agent is None:
        if output not in {"table", "wide"}:
            raise click.UsageError("--admin prints the secret alone: leave out -o")
        create_admin_token(config, data_dir, name, expires)
        return
    if expires is not None:
        raise click.UsageError("--expires goes with --admin: agents' tokens do not expire")
    found = find_agent(client, agent)
    body = {"name": name, "description": description}
    created = cast("CreatedToken", client.post(f"agents/{found['id']}/tokens", body))
    click.echo(document(created, output).rstrip("\n") if output in {"json", "yaml"} else created["secret"])
    click.echo(
        f"Token {created['id']} of agent {found['project']}:{found['name']}. It is shown this once; keep it safe.\n"
        "  use it:     kas generate --agent-token-file FILE --kas-address wss://KAS_HOST:8150 --image AGENTK_IMAGE |\n"
        "                kubectl apply -f -\n"
        f"  revoke it:  kas token revoke {created['id']}",
        err=True,
    )


@token.command(
    "list",
    epilog=examples(
        "kas token list --agent my-agent",
        "kas token list --agent my-agent -o json",
    ),
)
@agent_option(required=True)
@output_option
@no_headers_option
@with_client
def list_tokens(client: Client, agent: str, output: Output, *, no_headers: bool) -> None:
    """List an agent's tokens, the revoked ones too; never their secrets."""
    found = find_agent(client, agent)
    listing = Listing(
        f"agents/{found['id']}/tokens", views.tokens, f"No tokens found. Make one: kas token create --agent {agent}"
    )
    show(client, listing, {}, output=output, headers=not no_headers, watch=False)


@token.command(
    "revoke",
    epilog=examples(
        "kas token list --agent my-agent",
        "kas token revoke 7",
    ),
)
@click.argument("token_id", metavar="ID", type=click.IntRange(min=1))
@with_client
def revoke(client: Client, token_id: int) -> None:
    """Revoke a token; connections that use it end at once."""
    revoked = cast("Token", client.delete(f"tokens/{token_id}"))
    click.echo(f"token {token_id} of agent {revoked['agent']} revoked")
