"""``kas audit``: who changed what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kas.cli.audit_view import audit_lines
from kas.cli.options import WATCH_EXIT_CODES, examples, no_headers_option, output_option, watch_option, with_client
from kas.cli.showing import Listing, show

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client

AUDIT = Listing("audit", audit_lines, "No changes found.")


@click.command(
    "audit",
    epilog=examples(
        "kas audit",
        "kas audit --project group/config -o wide",
        "kas audit --watch -o json",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@click.option("--project", metavar="PATH", help="Only changes to this project or group, and what is below it.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), help="At most so many, the newest. [default: 200]")
@output_option
@no_headers_option
@watch_option
@with_client
def audit(
    client: Client, *, project: str | None, limit: int | None, output: Output, no_headers: bool, watch: bool
) -> None:
    """Show every change to agents and tokens and every refused attempt, oldest first: who, what, when, from where."""
    query = {"project": project, "limit": limit}
    show(client, AUDIT, query, output=output, headers=not no_headers, watch=watch)
