"""``kas login`` and ``kas logout``: which kas the other commands talk to, and as whom."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from kas.cli.login_file import Login, remove_login, write_login
from kas.cli.options import Failure, allow_http_option, examples
from kas.client import ApiToken, Client, ClientError

if TYPE_CHECKING:
    from kas.web.access_payloads import Self


@click.command(
    "login",
    epilog=examples(
        "kas login https://kas.example.com",
        "kas login https://kas.example.com --token-file token",
        "pass show kas | kas login https://kas.example.com",
    ),
)
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the API token; otherwise it is asked for, or read from standard input.",
)
@click.option(
    "--ca-cert-file",
    metavar="FILE",
    envvar="KAS_CA_CERT_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Trust the certificate authorities in this PEM file, now and later. [KAS_CA_CERT_FILE]",
)
@allow_http_option
def login(address: str, token_file: Path | None, ca_cert_file: Path | None, *, allow_http: bool) -> None:
    """Remember where kas is, with an API token for it, after trying them.

    They go into kas/login.json under XDG_CONFIG_HOME, readable by you alone. KAS_ADDRESS, KAS_TOKEN and KAS_TOKEN_FILE
    come before it.
    """
    try:
        token = _token(token_file)
        client = Client(address, token, ca_cert_file=ca_cert_file, allow_http=allow_http)
        me = cast("Self", client.get("self"))
        path = write_login(os.environ, Login(client.address, token.secret, ca_cert_file, allow_http))
    except ClientError as error:
        raise Failure(str(error), error.hint) from error
    bound = f" of {me['project']}" if me["project"] else ""
    click.echo(f"logged in to {client.address} as {me['name']} ({me['role']}{bound})")
    click.echo(f"Remembered in {path}; forget it with: kas logout", err=True)
    if first := [name for name in ("KAS_ADDRESS", "KAS_TOKEN", "KAS_TOKEN_FILE") if os.environ.get(name)]:
        click.echo(f"warning: {' and '.join(first)}: set, and before what was remembered; unset it", err=True)


@click.command("logout", epilog=examples("kas logout"))
def logout() -> None:
    """Forget what `kas login` remembered. The token itself stays valid: see `kas api-token revoke`."""
    try:
        there = remove_login(os.environ)
    except ClientError as error:
        raise Failure(str(error), error.hint) from error
    click.echo("logged out" if there else "you were not logged in")


def _token(file: Path | None) -> ApiToken:
    if file is not None:
        try:
            return _one_line(file.read_text(encoding="utf-8"), f"the file {file}")
        except (OSError, UnicodeDecodeError) as error:
            raise ClientError(f"cannot read the token file {file}", hint="it must hold one API token") from error
    if sys.stdin.isatty():
        return _one_line(click.prompt("API token", hide_input=True, err=True), "what was typed")
    return _one_line(sys.stdin.read(4096), "standard input")


def _one_line(text: str, source: str) -> ApiToken:
    secret = text.strip()
    if not secret or not secret.isprintable() or " " in secret:
        raise ClientError(f"{source} does not hold one API token", hint="a token is a single line: kasapi-…")
    return ApiToken(secret, source)
