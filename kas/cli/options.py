"""The options that commands share, and how a failure reads.

Every command that talks to kas takes the same options in any position, as kubectl's do, and gets a ``Client`` made from
them. A ``ClientError`` becomes two lines on standard error and exit code 1, or 3 where an agent is not connected; wrong
usage is exit code 2, by click.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar

import click

from kas.cli.login_file import login_path, read_login
from kas.cli.text import inert
from kas.client import DEFAULT_ADDRESS, ApiToken, Client, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem

    from kas.cli.login_file import Login

P = ParamSpec("P")
T = TypeVar("T")

Output = Literal["table", "wide", "json", "yaml"]

ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105 -- a file's name


NOT_CONNECTED = 3
"""The exit code where a command needs an agent that is not connected."""


class Failure(click.ClickException):
    """What went wrong and what to do next; exit code 1 unless said otherwise."""

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code  # type: ignore[misc]  # click itself looks at the instance

    def show(self, file: object = None) -> None:  # noqa: ARG002 -- always standard error, unlike click's
        """Print them, inert: texts of kas and of others are in them."""
        for line in self.message.splitlines():
            click.echo(f"error: {inert(line)}", err=True)
        if self.hint:
            click.echo(f"hint: {inert(self.hint)}", err=True)


def _local_token_file() -> Path:
    """Return where a kas on this machine, started with the same environment, has written its first token."""
    from kas.settings import default_data_dir  # noqa: PLC0415 -- a quarter of a second, needed only where none is given

    given = os.environ.get("KAS_DATA_DIR")
    return (Path(given) if given else default_data_dir()) / ADMIN_TOKEN_FILE


def make_client(address: str | None, ca_cert_file: Path | None, *, allow_http: bool = False) -> Client:
    """Make the client that options and environment describe, with the token that is for that address.

    Raises:
        ClientError: one of them is wrong, or the token that was found is for somewhere else.
    """
    chosen = address or os.environ.get("KAS_ADDRESS")
    _refuse_of_another(chosen, os.environ)
    # Where both are given, a login file is not even looked at: a broken one must not be in the way.
    given = chosen and (os.environ.get("KAS_TOKEN") or os.environ.get("KAS_TOKEN_FILE"))
    login = None if given else read_login(os.environ)
    remembered = None
    if login is not None and _is_of(login, chosen):
        remembered = ApiToken(login.token, f"the login file {login_path(os.environ)}")
        chosen, ca_cert_file = login.address, ca_cert_file or login.ca_cert_file
        allow_http = allow_http or login.allow_http
    chosen = chosen or DEFAULT_ADDRESS
    token = ApiToken.find(os.environ, lambda: _local_token_for(chosen), remembered)
    return Client(chosen, token, ca_cert_file=ca_cert_file, allow_http=allow_http)


def _local_token_for(address: str) -> Path | None:
    """Return the local administrator's token, which is for this machine.

    Raises:
        ClientError: the address is another machine's, and this is all there is to send.
    """
    file = _local_token_file()
    client = Client(address, None)
    if client.is_local:
        return file
    if not file.exists():
        return None
    raise ClientError(
        f"{file} is of the kas on this machine, and is sent to loopback only, not to {client.address}",
        hint=f"log in there with an API token of your own: kas login {client.address}; or set KAS_TOKEN or "
        f"KAS_TOKEN_FILE, and if {client.address} is the kas on this machine, use {DEFAULT_ADDRESS}",
    )


def _refuse_of_another(address: str | None, environ: Mapping[str, str]) -> None:
    """Refuse to send a token of the environment elsewhere than to the address that stands beside it."""
    beside = environ.get("KAS_ADDRESS")
    token = next((name for name in ("KAS_TOKEN", "KAS_TOKEN_FILE") if environ.get(name)), None)
    if not (address and beside and token) or Client(address, None).address == Client(beside, None).address:
        return
    raise ClientError(
        f"{token} stands beside KAS_ADDRESS, which is {Client(beside, None).address}: it is not sent to "
        f"{Client(address, None).address}",
        hint="set KAS_ADDRESS for this command, with a token of that kas, or unset both and log in with `kas login`",
    )


def _is_of(login: Login, address: str | None) -> bool:
    """Tell whether the login is for that address: its token goes nowhere else."""
    return address is None or Client(address, None).address == login.address


allow_http_option = click.option(
    "--allow-http",
    is_flag=True,
    envvar="KAS_ALLOW_HTTP",
    help="Send the API token over http:// to another machine, for everybody on the way to read. [KAS_ALLOW_HTTP]",
)


def client_given(*, failure: int) -> Callable[[Callable[Concatenate[Client, P], T]], Callable[P, T]]:
    """Return what adds the options of the connection to a command and hands it the client; see the module's docstring.

    ``failure`` is the exit code where it fails.
    """

    def with_options(command: Callable[Concatenate[Client, P], T]) -> Callable[P, T]:
        @click.option(
            "--address",
            metavar="URL",
            envvar="KAS_ADDRESS",
            help="API of kas. [KAS_ADDRESS, else that of `kas login`, else http://127.0.0.1:8153]",
        )
        @click.option(
            "--ca-cert-file",
            metavar="FILE",
            envvar="KAS_CA_CERT_FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Trust the certificate authorities in this PEM file. [KAS_CA_CERT_FILE]",
        )
        @allow_http_option
        @functools.wraps(command)
        def wrapper(*args: P.args, **options: P.kwargs) -> T:
            address, ca_cert_file = options.pop("address"), options.pop("ca_cert_file")
            allow_http = options.pop("allow_http") is True
            try:
                client = make_client(
                    address if isinstance(address, str) else None,
                    ca_cert_file if isinstance(ca_cert_file, Path) else None,
                    allow_http=allow_http,
                )
                return command(client, *args, **options)
            except ClientError as error:
                raise failure_of(error, failure) from error

        return wrapper

    return with_options


def with_client(command: Callable[Concatenate[Client, P], T]) -> Callable[P, T]:
    """Hand a command the client; it fails with exit code 1."""
    return client_given(failure=1)(command)


def failure_of(error: ClientError, exit_code: int = 1) -> Failure:
    """Return what a command ends with."""
    return Failure(str(error), error.hint, NOT_CONNECTED if error.reason == "AgentNotConnected" else exit_code)


def complete_agent(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of agents to the shell, and nothing where kas does not answer."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 -- only completion needs it

    try:
        answer = make_client(None, None).get("agents")
    except (ClientError, ValueError):
        return []
    items = answer.get("items", []) if isinstance(answer, dict) else []
    names = sorted({item["name"] for item in items} | {f"{item['project']}:{item['name']}" for item in items})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


EXIT_CODES = "0 done, 1 it failed, 2 wrong usage"
WATCH_EXIT_CODES = f"{EXIT_CODES}; a watch ends with 1 where kas ends it, with 130 by Ctrl-C"
ORDER_EXIT_CODES = f"{EXIT_CODES}, 3 the agent is not connected"


def examples(*lines: str, exit_codes: str = EXIT_CODES) -> str:
    """Return what stands at the end of a command's help: examples, and what its exit codes mean."""
    # \\b is how click is told to leave the line ends alone.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) + f"\n\nExit codes: {exit_codes}."


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to write it.",
)
no_headers_option = click.option("--no-headers", is_flag=True, help="Leave the line with the columns' names out.")
watch_option = click.option("-w", "--watch", is_flag=True, help="Go on and write every change until interrupted.")
project_option = click.option("--project", metavar="PATH", help="Only this project.")


def agent_option(*, required: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Add ``--agent``, which takes ``name`` or ``configuration/project:name``."""
    return click.option(
        "--agent",
        metavar="[PROJECT:]NAME",
        required=required,
        shell_complete=complete_agent,
        help="The agent; with its configuration project in front where the name alone is not enough.",
    )
