"""``kas get``, ``kas tree`` and ``kas events``: what runs, and what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kas.cli import views
from kas.cli.agents import AGENTS
from kas.cli.options import (
    WATCH_EXIT_CODES,
    agent_option,
    examples,
    no_headers_option,
    output_option,
    project_option,
    watch_option,
    with_client,
)
from kas.cli.showing import Listing, show, show_tree

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client

STATES = ("received", "applying", "applied", "waiting", "healthy", "failed", "stalled", "superseded")

SYNCS = Listing(
    "syncs",
    views.syncs,
    "No syncs found. They come when an agent is registered (kas get agents), its project holds "
    ".gitlab/agents/NAME/config.yaml, and it has connected.",
)
EVENTS = Listing("events", views.events, "No events found.")


@click.group(
    epilog=examples(
        "kas get agents",
        "kas get syncs --watch",
        "kas get events -o json",
    )
)
def get() -> None:
    """Show agents, syncs or events."""


@get.command(
    "agents",
    epilog=examples(
        "kas get agents",
        "kas get agents --project group/config -o wide",
        "kas get agents --watch",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@agent_option(required=False)
@project_option
@output_option
@no_headers_option
@watch_option
@with_client
def get_agents(
    client: Client, agent: str | None, project: str | None, output: Output, *, no_headers: bool, watch: bool
) -> None:
    """Show agents, whether they are connected, and how many of their projects are healthy."""
    query = {"agent": agent, "project": project}
    show(client, AGENTS, query, output=output, headers=not no_headers, watch=watch)


@get.command(
    "syncs",
    epilog=examples(
        "kas get syncs",
        "kas get syncs --agent my-agent --state failed",
        "kas get syncs --all --project group/app -o wide",
        "kas get syncs --watch",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@agent_option(required=False)
@project_option
@click.option("--state", type=click.Choice(STATES), help="Only syncs in this state.")
@click.option("-a", "--all", "everything", is_flag=True, help="Earlier revisions too, not only the newest.")
@click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), help="With --all: at most so many, the newest. [default: 500]"
)
@output_option
@no_headers_option
@watch_option
@with_client
def get_syncs(
    client: Client,
    *,
    agent: str | None,
    project: str | None,
    state: str | None,
    limit: int | None,
    output: Output,
    everything: bool,
    no_headers: bool,
    watch: bool,
) -> None:
    """Show which revision of which project is where, and how it went.

    A configuration that cannot be used is a line with the REF `configuration`; the message says what is wrong.
    """
    query = {"agent": agent, "project": project, "state": state, "all": 1 if everything else None, "limit": limit}
    show(client, SYNCS, query, output=output, headers=not no_headers, watch=watch)


@click.command(
    "tree",
    epilog=examples(
        "kas tree --agent my-agent",
        "kas tree --agent my-agent --project group/app",
        "kas tree --agent my-agent -o json",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@agent_option(required=True)
@project_option
@output_option
@no_headers_option
@watch_option
@with_client
def tree(client: Client, agent: str, project: str | None, output: Output, *, no_headers: bool, watch: bool) -> None:
    """Show every object of an agent: by project, namespace and kind, with result and health."""
    query = {"agent": agent, "project": project}
    show_tree(client, query, views.tree, output=output, headers=not no_headers, watch=watch)


@get.command(
    "events",
    epilog=examples(
        "kas events",
        "kas events --agent my-agent --type Warning",
        "kas events --watch",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@agent_option(required=False)
@project_option
@click.option("--type", "event_type", type=click.Choice(["Normal", "Warning"]), help="Only this type.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), help="At most so many, the newest. [default: 200]")
@output_option
@no_headers_option
@watch_option
@with_client
def events(
    client: Client,
    *,
    agent: str | None,
    project: str | None,
    event_type: str | None,
    limit: int | None,
    output: Output,
    no_headers: bool,
    watch: bool,
) -> None:
    """Show what happened, oldest first."""
    query = {"agent": agent, "project": project, "type": event_type, "limit": limit}
    show(client, EVENTS, query, output=output, headers=not no_headers, watch=watch)
