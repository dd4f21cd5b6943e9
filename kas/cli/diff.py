"""``kas diff``: what a revision would change in a cluster, found out by its agent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kas.cli.agents import find_agent
from kas.cli.diff_view import CHANGES, Mark, object_lines, project_lines, summary
from kas.cli.durations import Duration
from kas.cli.options import Failure, agent_option, client_given, examples, failure_of
from kas.cli.render import Screen
from kas.cli.showing import INTERRUPTED, emit
from kas.cli.text import inert_line
from kas.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kas.cli.diff_view import Line
    from kas.cli.options import Output
    from kas.client import Client

NO_CHANGES, SOME_CHANGES, ERROR = 0, 1, 2
"""Exit codes, as those of diff(1) and ``kubectl diff``."""

_COLOURS: dict[Mark, dict[str, Any]] = {
    Mark.TITLE: {"bold": True},
    Mark.PLACE: {"fg": "cyan"},
    Mark.ADDED: {"fg": "green"},
    Mark.REMOVED: {"fg": "red"},
    Mark.SAME: {},
    Mark.BAD: {"fg": "red", "bold": True},
}


@click.command(
    "diff",
    epilog=examples(
        "kas diff group/app --agent my-agent",
        "kas diff group/app --agent my-agent --ref feature/new-database",
        "kas diff --agent my-agent -o json | jq -r 'select(.type == \"OBJECT\") | .object.result'",
        exit_codes="0 no changes, 1 changes, 2 it failed or wrong usage, 3 the agent is not connected",
    ),
)
@click.argument("project", required=False)
@agent_option(required=True)
@click.option("--ref", metavar="REF", help="A branch, tag or commit of PROJECT; else what the configuration names.")
@click.option(
    "--timeout",
    metavar="DURATION",
    type=Duration(),
    default=300.0,
    help="The agent's time for a project. [default: 5m]",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to write it: for people, or a JSON line or YAML document for each thing found.",
)
@client_given(failure=ERROR)
def diff(client: Client, project: str | None, *, agent: str, ref: str | None, timeout: float, output: Output) -> None:
    """Show what a revision would change in the cluster, without changing anything: all projects, or one.

    The agent asks its API server by dry run. Values of Secrets never leave the cluster. What the revision selects and
    how it would be applied is as the configuration in force has it.
    """
    given = {"project": project, "ref": ref, "seconds": timeout}
    body = {key: value for key, value in given.items() if value is not None}
    path = f"agents/{find_agent(client, agent)['id']}/diff"
    _tell(f"asking {agent}…")
    try:
        code = _show(client.stream(path, body), output)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except ClientError as error:
        raise failure_of(error, ERROR) from error
    sys.exit(code)


def _show(lines: Iterable[dict[str, Any]], output: Output) -> int:
    """Write each line as it comes, nothing is kept; return the exit code."""
    screen = Screen.of_stdout()
    changes = failed = 0
    for line in lines:
        value = line["object"]
        if output in {"json", "yaml"}:
            emit(line, output)
        match line["type"]:
            case "PROJECT":
                for note in value["notes"]:
                    click.echo(f"note: {inert_line(note)}", err=True)
                _tell(f"comparing {value['project']} with the cluster…")
                _write(project_lines(value), output, screen)
            case "OBJECT":
                changes += value["result"] in CHANGES
                failed += value["result"] == "failed"
                _write(object_lines(value), output, screen)
            case "PROJECT_END":
                counts = value["counts"]
                changes += sum(counts[word] for word in CHANGES)
                failed += counts["failed"]
                _write([(Mark.SAME, summary(counts))], output, screen)
            case _:  # of a newer kas
                pass
    if failed:
        raise Failure("what would become of some objects cannot be told", "they are named above", ERROR)
    return SOME_CHANGES if changes else NO_CHANGES


def _write(lines: Iterable[Line], output: Output, screen: Screen) -> None:
    if output in {"json", "yaml"}:
        return
    for mark, text in lines:
        shown = inert_line(text)
        colour = _COLOURS[mark]
        click.echo(click.style(shown, **colour) if colour and screen.colours else shown)


def _tell(text: str) -> None:
    """Tell a person who waits that something goes on."""
    if sys.stderr.isatty():
        click.echo(inert_line(text), err=True)
