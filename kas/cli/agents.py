"""``kas agent``: register agents, list and remove them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from kas.cli import views
from kas.cli.options import (
    WATCH_EXIT_CODES,
    Failure,
    complete_agent,
    examples,
    no_headers_option,
    output_option,
    project_option,
    watch_option,
    with_client,
)
from kas.cli.showing import Listing, document, show
from kas.cli.text import inert

if TYPE_CHECKING:
    from kas.cli.options import Output
    from kas.client import Client
    from kas.web.payloads import Agent, CreatedAgent

AGENTS = Listing(
    "agents", views.agents, "No agents found. Register one: kas agent create --project GROUP/CONFIG --name NAME"
)


def find_agent(client: Client, name: str) -> Agent:
    """Return the agent that ``name`` or ``project:name`` means.

    Raises:
        ClientError: there is none, or several have that name.
    """
    answer = cast("dict[str, Any]", client.get("agents", agent=name))
    return cast("Agent", answer["items"][0])


@click.group()
def agent() -> None:
    """Register agents, list them, remove them."""


@agent.command(
    "create",
    epilog=examples(
        "kas agent create --project group/config --name my-agent",
        "kas agent create --project group/config --name my-agent -o json",
        "kas agent create --project group/config --name my-agent --id 1234",
    ),
)
@click.option("--project", metavar="PATH", required=True, help="The project that holds the agent's configuration.")
@click.option("--name", metavar="NAME", required=True, help="Lower-case letters, digits and dashes.")
@click.option(
    "--id",
    "agent_id",
    metavar="NUMBER",
    type=click.IntRange(min=1, max=(1 << 53) - 1),
    help="The id that GitLab gave the agent, to take over what it applied; drawn at random otherwise.",
)
@output_option
@with_client
def create(client: Client, project: str, name: str, agent_id: int | None, output: Output) -> None:
    """Register an agent."""
    pinned = {} if agent_id is None else {"id": agent_id}
    created = cast("CreatedAgent", client.post("agents", {"project": project, "name": name, **pinned}))
    if output in {"json", "yaml"}:
        click.echo(document(created, output), nl=False)
    else:
        click.echo(f"agent {created['project']}:{created['name']} created (id {created['id']})")
    for warning in created["warnings"]:
        click.echo(f"warning: {inert(warning)}", err=True)
    click.echo(
        f"""
Next:
  1. commit .gitlab/agents/{created["name"]}/config.yaml to the default branch of {created["project"]}:
       gitops:
         manifest_projects:
         - id: {created["project"]}
  2. install it in a cluster:  kas token create --agent {created["project"]}:{created["name"]} |
       kas generate --agent-token - --kas-address wss://KAS_HOST:8150 --image AGENTK_IMAGE | kubectl apply -f -
  3. see it connect:           kas get agents --watch""",
        err=True,
    )


@agent.command(
    "list",
    epilog=examples(
        "kas agent list",
        "kas agent list --project group/config -o wide",
        exit_codes=WATCH_EXIT_CODES,
    ),
)
@project_option
@output_option
@no_headers_option
@watch_option
@with_client
def list_agents(client: Client, project: str | None, output: Output, *, no_headers: bool, watch: bool) -> None:
    """List agents; the same as `kas get agents`."""
    show(client, AGENTS, {"project": project}, output=output, headers=not no_headers, watch=watch)


@agent.command(
    "delete",
    epilog=examples(
        "kas agent delete my-agent",
        "kas agent delete group/config:my-agent --yes",
    ),
)
@click.argument("name", metavar="[PROJECT:]NAME", shell_complete=complete_agent)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@with_client
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Remove an agent with its tokens and everything kas knows of it. What it applied stays in its cluster."""
    found = find_agent(client, name)
    full_name = f"{found['project']}:{found['name']}"
    if not yes:
        if not sys.stdin.isatty():
            raise Failure(f"deleting {full_name} needs a confirmation", "add --yes")
        question = f"Delete agent {full_name}, its {len(found['connections'])} connection(s), tokens and history?"
        click.confirm(question, abort=True, err=True)
    client.delete(f"agents/{found['id']}")
    click.echo(f"agent {full_name} deleted; what it applied stays in its cluster")
