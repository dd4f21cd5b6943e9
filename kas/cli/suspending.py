"""``kas suspend`` and ``kas resume``: keep a project, or an agent, as it is for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from kas.cli.agents import find_agent
from kas.cli.durations import Duration, Moment
from kas.cli.options import agent_option, examples, output_option, with_client
from kas.cli.showing import document
from kas.cli.text import inert
from kas.cli.views_orders import suspended_words, who

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.operation_payloads import Ordered


def write(answer: Ordered, output: Output, sentence: str) -> None:
    """Write the answer to an order: a sentence, or all of it; what a person should know besides to standard error."""
    if output in {"json", "yaml"}:
        click.echo(document(answer, output), nl=False)
    else:
        click.echo(inert(sentence))
    for note in answer["notes"]:
        click.echo(f"note: {inert(note)}", err=True)


@click.command(
    "suspend",
    epilog=examples(
        "kas suspend group/app --agent my-agent --reason 'database migration'",
        "kas suspend group/app --agent my-agent --for 2h",
        "kas suspend --agent my-agent --until 2026-12-01T00:00Z",
    ),
)
@click.argument("project", required=False)
@agent_option(required=True)
@click.option("--until", metavar="TIME", type=Moment(), help="Resume by itself then, such as 2026-12-01T00:00Z.")
@click.option("--for", "seconds", metavar="DURATION", type=Duration(), help="Resume by itself after 90s, 30m, 2h, 7d.")
@click.option("--reason", default="", help="Why; shown wherever the project is.")
@output_option
@with_client
def suspend(
    client: Client,
    project: str | None,
    *,
    agent: str,
    until: str | None,
    seconds: float | None,
    reason: str,
    output: Output,
) -> None:
    """Stop all work on a project, or on every project of an agent: nothing is applied, pruned or put back.

    What runs goes on running. Suspending again replaces what was said before.
    """
    if until is not None and seconds is not None:
        raise click.UsageError("--until and --for exclude each other")
    given = {"project": project, "until": until, "seconds": seconds, "reason": reason}
    body = {key: value for key, value in given.items() if value is not None}
    answer = cast("Ordered", client.post(f"agents/{find_agent(client, agent)['id']}/suspend", body))
    assert answer["hold"] is not None  # noqa: S101 -- what was just made
    write(answer, output, f"{who(answer)} {suspended_words(answer['hold'])}")


@click.command(
    "resume",
    epilog=examples("kas resume group/app --agent my-agent", "kas resume --agent my-agent"),
)
@click.argument("project", required=False)
@agent_option(required=True)
@output_option
@with_client
def resume(client: Client, project: str | None, agent: str, output: Output) -> None:
    """End a suspension, and go straight to the newest revision.

    Without PROJECT it ends that of the whole agent; projects that were suspended by name stay so.
    """
    body = {} if project is None else {"project": project}
    answer = cast("Ordered", client.post(f"agents/{find_agent(client, agent)['id']}/resume", body))
    write(answer, output, f"{who(answer)} resumed")
