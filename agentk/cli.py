"""The command ``agentk``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentk.cli_apply import apply
from agentk.cli_options import context_option, kubeconfig_option
from agentk.gitops.token_file import read_token
from agentlink import __version__
from agentlink.address import AddressError, KasAddress, parse_kas_address
from agentlink.agent_token import TokenError, check_token
from agentlink.loading import loading
from agentlink.logs import LEVELS, LogFormat

if TYPE_CHECKING:
    from collections.abc import Callable

RUN_EXAMPLES = """\b
Examples:
  agentk run --kas-address wss://kas.example.com --token-file /etc/agentk/token
  agentk run --kas-address ws://127.0.0.1:8150 --token-file token --kubeconfig ~/.kube/config
  AGENTK_TOKEN=glagent-… agentk run --kas-address grpcs://kas.example.com:8152 --ca-cert-file ca.pem

Exit codes: 0 it was told to stop, 1 it cannot start or go on, 2 wrong usage.
"""

CHECK_EXAMPLES = """\b
Examples:
  agentk check --kas-address wss://kas.example.com --token-file token
  agentk check --kas-address wss://kas.example.com --token-file token --namespace team-a,team-b
  kubectl exec deploy/gitlab-agent -- agentk check --kas-address wss://… --token-file /etc/agentk/token/token

Exit codes: 0 nothing failed, 1 something did, 2 wrong usage.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="agentk", message="%(prog)s %(version)s")
def main() -> None:
    """The GitOps agent: makes this cluster what Git says, and reports what became of it."""


def _address(_: click.Context, __: click.Parameter, value: str) -> KasAddress:
    try:
        return parse_kas_address(value)
    except AddressError as error:
        raise click.BadParameter(str(error)) from error


def _host_port(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int] | None:
    if not value:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise click.BadParameter("write host:port, such as 127.0.0.1:8081 or :8081, or nothing to leave it out")
    return host.strip("[]"), int(port)


_kas_address = click.option(
    "--kas-address",
    required=True,
    callback=_address,
    metavar="URL",
    help="Where kas is: ws://, wss:// (gRPC in websockets), grpc:// or grpcs://.",
)
_token_file = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Holds the agent's token; read anew at each connection. [otherwise AGENTK_TOKEN]",
)
_ca_cert_file = click.option(
    "--ca-cert-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificates (PEM) to trust for kas besides the system's.",
)


def _token_of(token_file: Path | None) -> Callable[[], str]:
    """Return what reads the token, from the file or the environment, and raises TokenError."""

    def token() -> str:
        if token_file is not None:
            return read_token(token_file)
        return check_token(os.environ.get("AGENTK_TOKEN", ""), source="the environment variable AGENTK_TOKEN")

    return token


@main.command(epilog=RUN_EXAMPLES)
@_kas_address
@_token_file
@_ca_cert_file
@kubeconfig_option
@context_option
@click.option(
    "--observability-address",
    default="127.0.0.1:8081",
    show_default=True,
    callback=_host_port,
    metavar="HOST:PORT",
    help="Serves /liveness, /readiness and /metrics; empty for nowhere.",
)
@click.option(
    "--log-level",
    type=click.Choice(list(LEVELS)),
    default="info",
    show_default=True,
    help="Until the agent's configuration says another.",
)
@click.option("--log-format", type=click.Choice([form.value for form in LogFormat]), default="auto", show_default=True)
@click.option(
    "--lease-seconds",
    type=click.IntRange(1, 60),
    default=15,
    show_default=True,
    envvar="AGENTK_LEASE_SECONDS",
    show_envvar=True,
    help="How long other replicas leave the lease of one alone that has gone silent.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1, 1000),
    default=32,
    show_default=True,
    envvar="AGENTK_MAX_REQUESTS",
    show_envvar=True,
    help="Requests to the API server in flight at most; fewer while it asks for less.",
)
def run(
    *,
    kas_address: KasAddress,
    token_file: Path | None,
    ca_cert_file: Path | None,
    kubeconfig: str | None,
    context: str | None,
    observability_address: tuple[str, int] | None,
    log_level: str,
    log_format: str,
    lease_seconds: int,
    max_requests: int,
) -> None:
    """Connect to kas and keep the cluster as Git says, until SIGTERM.

    POD_NAMESPACE and POD_NAME, if set, say where agentk itself runs. Of several replicas of one agent, which are those
    in one namespace, one writes and the others stand by.
    """
    # Loaded here: --help and --version need none of it.
    with loading():
        from agentk.app import Options, StartError, serve  # noqa: PLC0415 - see above
        from agentk.leadership.election import Timing  # noqa: PLC0415 - see above

    token = _token_of(token_file)
    options = Options(
        kas_address=kas_address,
        token=token,
        ca_cert_file=ca_cert_file,
        kubeconfig=kubeconfig,
        context=context,
        pod_namespace=os.environ.get("POD_NAMESPACE", ""),
        pod_name=os.environ.get("POD_NAME", ""),
        observability=observability_address,
        log_level=log_level,
        log_format=LogFormat(log_format),
        lease=Timing(lease_seconds),
        max_requests=max_requests,
    )
    try:
        token()
        sys.exit(serve(options))
    except (TokenError, StartError) as error:
        raise click.ClickException(str(error)) from error


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that were given one by one, or with commas between."""
    names = [name.strip() for value in values for name in value.split(",")]
    if not all(names):
        raise click.BadParameter("write names with commas between, such as a,b")
    return tuple(dict.fromkeys(names))


@main.command(epilog=CHECK_EXAMPLES)
@_kas_address
@_token_file
@_ca_cert_file
@kubeconfig_option
@context_option
@click.option(
    "--namespace",
    "-n",
    "namespaces",
    multiple=True,
    callback=_names,
    metavar="NAME,…",
    help="Where agentk is to manage objects. [the whole cluster]",
)
@click.option(
    "--kinds",
    multiple=True,
    callback=_names,
    metavar="KIND,…",
    help="What it is to manage, such as deployments.apps,configmaps. [everything that the cluster serves]",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(
    *,
    kas_address: KasAddress,
    token_file: Path | None,
    ca_cert_file: Path | None,
    kubeconfig: str | None,
    context: str | None,
    namespaces: tuple[str, ...],
    kinds: tuple[str, ...],
    output: str,
) -> None:
    """Say whether agentk can work here: kas, its token, the API server, and which rights are missing.

    Leaves nothing behind and does not disturb an agent that runs with the same token. POD_NAMESPACE, if set, says where
    agentk runs.
    """
    # Loaded here: --help and --version need none of it.
    with loading():
        from agentk.check.run import CheckOptions  # noqa: PLC0415 - see above
        from agentk.check.run import check as run_checks  # noqa: PLC0415 - see above
        from agentlink.findings import as_json, as_text, exit_code  # noqa: PLC0415 - see above

    findings = run_checks(
        CheckOptions(
            kas_address=kas_address,
            token=_token_of(token_file),
            ca_cert_file=ca_cert_file,
            kubeconfig=kubeconfig,
            context=context,
            pod_namespace=os.environ.get("POD_NAMESPACE", ""),
            namespaces=namespaces,
            kinds=kinds,
        )
    )
    click.echo(as_json(findings) if output == "json" else as_text(findings))
    sys.exit(exit_code(findings))


main.add_command(apply)
