"""``kas api-token``: the secrets that people and their scripts use kas with."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import click

from kas.cli.audit_view import api_tokens
from kas.cli.options import examples, no_headers_option, output_option, with_client
from kas.cli.showing import Listing, document, show

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.access_payloads import ApiToken, CreatedApiToken

API_TOKENS = Listing("api-tokens", api_tokens, "No API tokens found.")

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Life(click.ParamType[timedelta]):
    """How long a token lives, such as 30d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a time such as 12h, 30d or 8w", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.group("api-token")
def api_token() -> None:
    """Make API tokens for people and scripts, list them, revoke them. Needs an admin's token."""


@api_token.command(
    "create",
    epilog=examples(
        "kas api-token create --name alice --role admin --expires 90d",
        "kas api-token create --name team-ci --role maintainer --project group/config",
        "kas api-token create --name dashboard --role read --expires 8w > token",
    ),
)
@click.option("--name", metavar="TEXT", required=True, help="Whose it is; stands in the audit log.")
@click.option(
    "--role",
    type=click.Choice(["admin", "maintainer", "read"]),
    required=True,
    help="admin: everything; maintainer: agents of one project or group; read: look only.",
)
@click.option("--project", metavar="PATH", default="", help="Bind it to this project or group, and what is below it.")
@click.option("--expires", metavar="TIME", type=Life(), help="How long it lives: 12h, 30d, 8w. [default: for ever]")
@output_option
@with_client
def create(client: Client, *, name: str, role: str, project: str, expires: timedelta | None, output: Output) -> None:
    """Make an API token and print its secret, once; kas keeps only a hash."""
    body: dict[str, object] = {"name": name, "role": role, "project": project}
    if expires is not None:
        body["expires_at"] = (client.now() + expires).isoformat()
    created = cast("CreatedApiToken", client.post("api-tokens", body))
    click.echo(document(created, output).rstrip("\n") if output in {"json", "yaml"} else created["secret"])
    click.echo(
        f"API token {created['id']} of {created['name']}. It is shown this once; keep it safe.\n"
        "  use it:     kas login ADDRESS, or KAS_TOKEN\n"
        f"  revoke it:  kas api-token revoke {created['id']}",
        err=True,
    )


@api_token.command("list", epilog=examples("kas api-token list", "kas api-token list -o json"))
@output_option
@no_headers_option
@with_client
def list_tokens(client: Client, output: Output, *, no_headers: bool) -> None:
    """List API tokens, the ended ones too; never their secrets."""
    show(client, API_TOKENS, {}, output=output, headers=not no_headers, watch=False)


@api_token.command("revoke", epilog=examples("kas api-token list", "kas api-token revoke 3"))
@click.argument("token_id", metavar="ID", type=click.IntRange(min=1))
@with_client
def revoke(client: Client, token_id: int) -> None:
    """Revoke an API token; watches that use it end within seconds."""
    revoked = cast("ApiToken", client.delete(f"api-tokens/{token_id}"))
    click.echo(f"API token {token_id} of {revoked['name']} revoked")
