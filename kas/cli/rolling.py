"""``kas rollback`` and ``kas history``: go back to an earlier revision, and see which there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from kas.cli.agents import find_agent
from kas.cli.commits import Commit
from kas.cli.history_view import history_lines
from kas.cli.options import agent_option, examples, no_headers_option, output_option, with_client
from kas.cli.showing import Listing, show
from kas.cli.suspending import write
from kas.cli.views_orders import pinned_words, who

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.operation_payloads import Ordered

HISTORY = Listing("history", history_lines, "This agent has synced nothing of this project yet.")


@click.command(
    "rollback",
    epilog=examples(
        "kas history group/app --agent my-agent",
        "kas rollback group/app --agent my-agent --to 3f2a1b4c --reason 'errors since the release'",
        "kas rollback group/app --agent my-agent --unpin",
    ),
)
@click.argument("project")
@agent_option(required=True)
@click.option(
    "--to",
    "commit",
    type=Commit(least=4),
    metavar="COMMIT",
    help="Where to go back to; the first digits of one in `kas history` do.",
)
@click.option("--unpin", is_flag=True, help="Follow the ref of the configuration again.")
@click.option("--reason", default="", help="Why; shown wherever the project is.")
@output_option
@with_client
def rollback(
    client: Client, project: str, *, agent: str, commit: str | None, unpin: bool, reason: str, output: Output
) -> None:
    """Pin a project to an earlier commit, whatever is pushed, until it is unpinned.

    The commit is one that this agent had, or another one in the history of the project's ref, by all its 40 digits.
    Repair Git meanwhile; then --unpin goes to what is newest there.
    """
    if (commit is None) != unpin:
        raise click.UsageError("give either --to COMMIT or --unpin")
    path = f"agents/{find_agent(client, agent)['id']}"
    if unpin:
        answer = cast("Ordered", client.post(f"{path}/unpin", {"project": project}))
        write(answer, output, f"{who(answer)} follows its ref again")
        return
    answer = cast("Ordered", client.post(f"{path}/pin", {"project": project, "to": commit, "reason": reason}))
    assert answer["hold"] is not None  # noqa: S101 -- what was just made
    write(answer, output, f"{who(answer)} {pinned_words(answer['hold'])}")
    if output in {"table", "wide"}:
        click.echo(f"it stays there until: kas rollback {project} --agent {agent} --unpin", err=True)


@click.command(
    "history",
    epilog=examples(
        "kas history group/app --agent my-agent",
        "kas history group/app --agent my-agent -n 100 -o wide",
        "kas history group/app --agent my-agent -o json",
    ),
)
@click.argument("project")
@agent_option(required=True)
@click.option("-n", "--limit", type=click.IntRange(min=1, max=10_000), help="At most so many lines. [default: 20]")
@output_option
@no_headers_option
@with_client
def history(client: Client, project: str, agent: str, limit: int | None, output: Output, *, no_headers: bool) -> None:
    """Show the revisions of a project that an agent had, newest first, with suspensions and pins in between."""
    query = {"agent": agent, "project": project, "limit": limit}
    show(client, HISTORY, query, output=output, headers=not no_headers, watch=False)
